# Memory that is out, at one allocation after the other: an error is said, what
# is on disk stays, and the next start is as good as any. FULL=1 leaves none of
# goconnectd's out.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use AgentTest;
use GoConnect::Backend;
use Test::More;
use Time::HiRes qw(sleep time);

my $STEP = $ENV{FULL} ? 1 : 9;

my ($lab, $plane, $a) = lab_with_agent(login => 1);
my $host = $a->host;
my $home = $host->home;
my $lan = $plane->network('Lan');
$plane->add_peer($lan, { public_key => key(1) });
$a->must('join', $lan->{link});
$a->stop;

# A program whose allocation $n fails.
sub failing {
    my ($n, @command) = @_;
    return ('env', "LD_PRELOAD=$BUILD/drivers/memory.so", "GOCONNECT_MEMORY_FAIL=$n",
        "GOCONNECT_MEMORY_COUNT=$home/count", @command);
}

sub count { my ($status, $said) = $host->run('cat', "$home/count"); return $status ? 0 : $said + 0 }

# What must outlive it: this device, and the key of the network.
sub kept { join '', map { $host->must('sh', '-c', $_) } 'cat /var/lib/goconnect/device.json | tr , "\n" | grep -v _token',
    'grep -o "\"private_key\":\"[^\"]*\"" /var/lib/goconnect/networks/*.json', 'find /var/lib/goconnect -name "*.damaged"' }

subtest 'back end' => sub {
    my @run = ("$BUILD/drivers/backend", 'userspace', "$home/driver");
    $host->must('mkdir', "$home/driver");
    my $wish = GoConnect::Backend::network('gc-memory', 50011, [ map { GoConnect::Backend::peer($_) } 1 .. 3 ]);
    open my $fh, '>', "$home/wish" or die $!;
    print $fh JSON::PP->new->encode([$wish]);
    close $fh;
    for my $case ([ apply => "$home/wish" ], ['dump'], ['local'], ['down']) {
        my $before = $case->[0] eq 'apply' ? ['down'] : [ apply => "$home/wish" ];
        $host->must(@run, @$before);
        $host->must(failing(0, @run, @$case));
        my $count = count();
        my (@killed, @silent);
        for my $n (1 .. $count) {
            $host->must(@run, @$before) if $case->[0] eq 'apply' || $case->[0] eq 'down';
            my ($status, $said) = $host->run(failing($n, @run, @$case));
            push @killed, "$n: $status $said" if $status > 2;
            push @silent, "$n: $said" if $status && $said !~ m{^backend: \S}m;
        }
        cmp_ok $count, '>', 3, "$case->[0]: $count allocations";
        is_deeply \@killed, [], '... none ends it by a signal';
        is_deeply \@silent, [], '... and what failed is said';
    }
    $host->must(@run, 'down');
};

subtest 'goconnectd' => sub {
    my $kept = kept();
    my $count = 1;
    my (@killed, @lost, $ended, $answered);
    for (my $n = 0; $n <= $count; $n += $n ? $STEP : 1) {
        my $pid = $host->start('goconnectd', failing($n, "$BUILD/goconnectd", '--backend', 'userspace', '--insecure'));
        my $up = until_true(sub { !$host->running($pid) || ($a->cli('status'))[0] == 0 }, 60);
        $host->running($pid) ? $answered++ : $ended++;
        my $status = $host->stop($pid);
        $count = count() if !$n;
        push @killed, "$n: status $status" if $status > 1 || !$up;
        push @lost, $n if kept() ne $kept;
    }
    cmp_ok $count, '>', 200, "$count allocations";
    note "ended $ended times, answered $answered times";
    is_deeply \@killed, [], 'none ends it by a signal';
    is_deeply \@lost, [], 'none loses a key or takes a file for a damaged one';
    $a->daemon;
    ok until_true(sub { $a->network_of('Lan')->{state} eq 'up' }), 'and the network is up' or diag $a->log;
};

$lab->destroy;
done_testing;

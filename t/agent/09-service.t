# goconnectd as systemd sees it: readiness, the watchdog, its end.

use strict;
use warnings;
use FindBin;
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM);
use Test::More;

plan skip_all => 'needs root for a network namespace' if $> != 0;

my $top = "$FindBin::Bin/../..";
my $program = "$top/" . ($ENV{B} // 'build') . '/goconnectd';
my $dir = tempdir(CLEANUP => 1);
my $notify = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "$dir/notify")
    or die "cannot listen: $!";

sub start {
    my (%env) = @_;
    my $pid = fork // die "cannot fork: $!";
    return $pid if $pid;
    $ENV{NOTIFY_SOCKET} = "$dir/notify";
    my $own = delete $env{own_pid};
    @ENV{ keys %env } = values %env;
    $ENV{WATCHDOG_PID} = $$ if $own;
    open STDERR, '>>', "$dir/log";
    exec 'unshare', '-n', $program, '--config', "$dir/conf", '--state', "$dir/state", '--socket',
        "$dir/socket", '--backend', 'userspace', '--names', 'off';
    die "cannot start: $!";
}

# The next line that was told; the deadline only guards against hanging.
sub told {
    IO::Select->new($notify)->can_read(60) or return 'nothing in 60 s';
    $notify->recv(my $line, 4096);
    return $line;
}

sub end {
    my ($pid) = @_;
    kill TERM => $pid;
    my $line = told();
    $line = told() while $line eq 'WATCHDOG=1';
    is $line, 'STOPPING=1', 'SIGTERM: it says that it ends';
    waitpid $pid, 0;
    is $?, 0, 'and ends well';
}

open my $conf, '>', "$dir/conf" or die $!;
close $conf;

subtest 'a watchdog that waits for it' => sub {
    my $pid = start(WATCHDOG_USEC => 400_000, own_pid => 1);
    is told(), "READY=1", "ready" or return diag `cat $dir/log`;
    is told(), 'WATCHDOG=1', "it lives, $_" for 1 .. 3;
    end($pid);
};

for my $case (
    [ 'none', WATCHDOG_USEC => '' ],
    [ 'one of another process', WATCHDOG_USEC => 20_000, WATCHDOG_PID => 1 ],
    [ 'one that is no number', WATCHDOG_USEC => '20000x' ],
    [ 'one without an interval', WATCHDOG_USEC => 0 ]
    )
{
    my ($name, %env) = @$case;
    subtest "a watchdog: $name" => sub {
        my $pid = start(%env);
        is told(), 'READY=1', 'ready';
        kill TERM => $pid;
        is told(), 'STOPPING=1', 'nothing but the end is told';
        waitpid $pid, 0;
        is $?, 0, 'and it ends well';
    };
}

done_testing;

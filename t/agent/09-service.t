# goconnectd as systemd sees it: readiness, how things stand, the watchdog, new
# settings, the journal, its end.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use AgentTest;
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM);
use Test::More;

plan skip_all => 'needs root for a network namespace' if $> != 0;

my $program = "$BUILD/goconnectd";
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
    $ENV{JOURNAL_STREAM} = join ':', (stat STDERR)[ 0, 1 ] if delete $ENV{OWN_STREAM};
    exec 'unshare', '-n', $program, '--config', "$dir/conf", '--state', "$dir/state", '--socket',
        "$dir/socket", '--backend', 'userspace', '--names', 'off';
    die "cannot start: $!";
}

sub write_to {
    my ($file, @lines) = @_;
    open my $to, '>', $file or die "$file: $!";
    print $to map { "$_\n" } @lines;
    close $to;
}

sub log_text {
    open my $log, '<', "$dir/log" or die $!;
    local $/;
    return <$log> // '';
}

# The next line that was told; the deadline only guards against hanging.
sub told {
    IO::Select->new($notify)->can_read(60) or return 'nothing in 60 s';
    $notify->recv(my $line, 4096);
    return $line;
}

# The first one that is like this.
sub told_of {
    my ($wanted, $name) = @_;
    my $line;
    for (1 .. 1000) {
        $line = told();
        last if $line =~ $wanted || $line =~ /^nothing/;
    }
    return like $line, $wanted, $name;
}

my $ready = qr/\AREADY=1\nSTATUS=not logged in: goconnect login URL\z/;

sub end {
    my ($pid) = @_;
    kill TERM => $pid;
    my $line = told();
    $line = told() while $line eq 'WATCHDOG=1';
    is $line, 'STOPPING=1', 'SIGTERM: it says that it ends';
    waitpid $pid, 0;
    is $?, 0, 'and ends well';
}

write_to("$dir/conf");

subtest 'a watchdog that waits for it' => sub {
    my $pid = start(WATCHDOG_USEC => 400_000, own_pid => 1);
    like told(), $ready, 'ready, and how it stands' or return diag log_text();
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
        like told(), $ready, 'ready';
        kill TERM => $pid;
        is told(), 'STOPPING=1', 'nothing but the end is told';
        waitpid $pid, 0;
        is $?, 0, 'and it ends well';
    };
}

# What happened since start, once it is ready again.
sub reload {
    my ($pid, $name) = @_;
    my $before = length log_text();
    kill HUP => $pid;
    like told(), qr/\ARELOADING=1\nMONOTONIC_USEC=[1-9][0-9]+\z/, "$name: it says that it begins";
    like told(), $ready, 'and that it is ready';
    return substr log_text(), $before;
}

subtest 'new settings' => sub {
    write_to("$dir/conf", 'log-level = info', 'rotate-days = 30');
    my $pid = start();
    like told(), $ready, 'ready';
    like reload($pid, 'none'), qr/changed: nothing\n\z/, 'nothing changed';

    write_to("$dir/conf", 'log-level = warn', 'rotate-days = 7', 'ca = /etc/other.pem',
        'names = nss', 'backend = auto');
    my $said = reload($pid, 'some');
    unlike $said, qr/ info: /, 'the new level holds at once';
    like $said, qr/ warn: only a restart changes: ca\n\z/,
        'what needs a restart is said; an option goes before the file';

    my ($rc, $answer) = client('reload', '--json');
    is $rc, 0, 'goconnect reload';
    like $answer, qr{"changed": "",\s+"needs_restart": "ca"}, 'answers the same';
    told_of($ready, 'ready');

    write_to("$dir/conf", 'log-level = debug', '', 'rotate-days = many');
    like reload($pid, 'a mistake'),
        qr/error: the settings stay as they were: \Q$dir\E\/conf, line 3: rotate-days is 0 to/,
        'a file with a mistake changes nothing, and the line is named';
    ($rc, $answer) = client('reload');
    is $rc, 1, "goconnect reload fails";
    like $answer, qr/line 3: rotate-days/, 'and names it too';
    told_of($ready, 'ready');

    unlink "$dir/conf";
    like reload($pid, 'no file'), qr/error: .*cannot read/, 'a file that was named has to be there';
    write_to("$dir/conf");
    like reload($pid, 'an empty one'), qr/info: read the settings; changed: .*log-level/,
        'what is no longer said is as without the file';
    end($pid);
};

sub client {
    my (@command) = @_;
    open my $out, '-|', "$BUILD/goconnect @command --socket $dir/socket 2>&1" or die $!;
    my $said = do { local $/; <$out> };
    close $out;
    return ($? >> 8, $said);
}

subtest 'the journal' => sub {
    for my $case ([ 1, '0:0', qr/\A<6>goconnectd \S+ is ready/ ],
        [ 0, '1:1', qr/\A\d{4}-\S+ info: goconnectd \S+ is ready/ ])
    {
        my ($own, $stream, $wanted) = @$case;
        unlink "$dir/log";
        my $pid = start(JOURNAL_STREAM => $stream, OWN_STREAM => $own);
        like told(), $ready, 'ready';
        like log_text(), $wanted, $own ? 'lines have their priority'
            : 'a stream that is not standard error is none';
        end($pid);
    }
};

my ($lab, $plane, $a) = lab_with_agent(login => 1);

subtest 'how things stand' => sub {
    my $lan = $plane->network("L\x{e4}n");
    $plane->add_peer($lan, { public_key => key(1) });
    $a->must('join', $lan->{link});
    $a->stop;
    $a->daemon('env', "NOTIFY_SOCKET=$dir/notify");
    told_of(qr/^READY=1\n/, 'ready');
    told_of(qr/\ASTATUS=1 of 1 networks up, 1 peers, 0 talked to; connected to the server\z/,
        'a network, a peer, the server');
    $plane->add_peer($lan, { public_key => key(2) });
    told_of(qr/\ASTATUS=1 of 1 networks up, 2 peers,/, 'a peer more');
    $a->must('down');
    told_of(qr/\ASTATUS=0 of 1 networks up, 2 peers,/, 'down');
    $a->must('logout');
    told_of(qr/\ASTATUS=not logged in/, 'logged out');
};

done_testing;

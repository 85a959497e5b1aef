# goconnectd.service as systemd runs it after a real boot: readiness, hardening,
# restart, watchdog, reload, end. From what `make install` lays down.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use AgentTest;
use Booted;
use File::Temp qw(tempdir);
use Test::More;

my $top = "$FindBin::Bin/../..";
my $unit = 'goconnectd.service';
my $prefix = '/opt/goconnect';
my $dir = tempdir('gcboot-XXXXXX', DIR => '/tmp', CLEANUP => 1);
my $root = "$dir/root";

my ($lab, $plane, $a) = lab_with_agent(no_daemon => 1);
my $host = $a->host;

sub write_to { Booted::write_to(@_) }

SKIP: {
    skip "a service's hardening leaves the sanitizers no room", 8 if $BUILD =~ m{/san$};

# What `make install` puts, and the unit switched on.
mkdir $root or die $!;
my $said = `cd '$top' && PREFIX=$prefix DESTDIR='$root' B='$BUILD' scripts/install 2>&1`;
is $?, 0, 'installed' or BAIL_OUT($said);
system 'mkdir', '-p', "$root/etc/systemd/system/multi-user.target.wants", "$root/root";
symlink "../$unit", "$root/etc/systemd/system/multi-user.target.wants/$unit" or die $!;
write_to("$root/root/password", "$PASSWORD\n");
my $settings = "$root/etc/goconnect/goconnectd.conf";
write_to($settings, "insecure = yes\nbackend = userspace\nlog-level = debug\n");

my $machine = Booted->start($root, netns => $host->netns);

sub active { $machine->show($unit, 'ActiveState') eq 'active' }
sub main_pid { $machine->show($unit, 'MainPID') }
sub goconnect { $machine->run("$prefix/bin/goconnect", @_) }

sub journal {
    my (@which) = @_;
    @which = ('-n', 40) if !@which;
    return ($machine->run('journalctl', '--no-pager', '-o', 'cat', '-u', $unit, @which))[1];
}

# Until systemd itself answers; without that this machine cannot boot one.
my $booted = until_true(sub {
    !$machine->alive || ($machine->run('systemctl', 'is-system-running'))[1] =~
        /^(?:starting|running|degraded|initializing)$/m;
}, 60) && $machine->alive;

SKIP: {
    skip 'systemd-nspawn boots nothing on this machine: ' . $machine->said =~ s/\s+/ /gr, 7
        if !$booted;

my $started = until_true(sub { active() }, 60);
ok $started, 'it says that it is ready' or diag journal();

SKIP: {
    skip 'it did not start', 6 if !$started;

subtest 'started' => sub {
    is $machine->show($unit, 'Type'), 'notify', 'Type=notify';
    is $machine->show($unit, 'StatusText'), 'not logged in: goconnect login URL', 'how it stands';
    my (undef, $exposure) = $machine->run('systemd-analyze', '--no-pager', 'security', $unit);
    diag((grep { /Overall/ } split /\n/, $exposure)[-1] // $exposure);
    is((goconnect('status'))[0], 0, 'goconnect reaches it');
    like journal('-p', 'info'), qr/^goconnectd \S+ is ready/m, 'the journal has its lines';
    unlike journal('-p', 'warning'), qr/is ready/, '... with their priority';
};

subtest 'a network, with all its hardening' => sub {
    my $lan = $plane->network('Lan');
    $plane->add_peer($lan, { public_key => key(1) });
    my ($status, $said) = goconnect('login', $plane->url, '--username', 'ada', '--password-file',
        '/root/password', '--insecure');
    is $status, 0, 'logged in' or diag $said;
    ($status, $said) = goconnect('join', $lan->{link});
    is $status, 0, 'joined' or diag $said, journal();
    ok until_true(sub { $machine->show($unit, 'StatusText') =~
        /^1 of 1 networks up, 1 peers, \d talked to; connected to the server$/ }), 'and says so'
        or diag $machine->show($unit, 'StatusText'), journal();
    (undef, $said) = goconnect('status', '--json');
    like $said, qr/"firewall": "on"/, 'with its firewall' or diag $said;
};

# Until another process than this one is ready: asked at once, for both change.
sub replaced {
    my ($pid, $name) = @_;
    return ok(until_true(sub {
        my (undef, $said) = $machine->run('systemctl', 'show', '-p', 'ActiveState,MainPID', $unit);
        return $said =~ /^ActiveState=active$/m && $said =~ /^MainPID=([1-9]\d*)$/m && $1 != $pid;
    }, 120), $name) || diag journal();
}

sub wireguard { ($machine->run('pidof', 'wireguard-go'))[1] }

subtest 'killed' => sub {
    my ($pid, $tunnel) = (main_pid(), wireguard());
    like $tunnel, qr/^\d+$/, 'a tunnel stands';
    $machine->run('kill', '-KILL', $pid);
    replaced($pid, 'it is started anew');
    is wireguard(), $tunnel, 'the tunnel stood meanwhile';
    is((goconnect('status'))[0], 0, 'it answers');
};

subtest 'new settings' => sub {
    my $pid = main_pid();
    write_to($settings, "insecure = yes\nbackend = userspace\nlog-level = info\nnames = off\n");
    my ($status, $said) = $machine->run('systemctl', 'reload', $unit);
    is $status, 0, 'systemctl reload' or diag $said, journal();
    like journal('-p', 'info'), qr/^read the settings; changed: log-level$/m, 'reads them';
    like journal('-p', 'warning'), qr/^only a restart changes: names$/m, 'and says what it cannot';
    write_to($settings, "insecure = yes\nlog-level = loud\n");
    ($status, $said) = $machine->run('systemctl', 'reload', $unit);
    isnt $status, 0, 'a mistake fails the reload';
    like journal('-p', 'err'), qr/goconnectd\.conf, line 2: log-level is /, 'and is in the journal';
    ok active(), 'it runs on';
    is main_pid(), $pid, 'the same process';
    write_to($settings, "insecure = yes\nbackend = userspace\n");
};

subtest 'hanging' => sub {
    my $drop_in = "$root/etc/systemd/system/$unit.d";
    mkdir $drop_in or die $!;
    write_to("$drop_in/test.conf", "[Service]\nWatchdogSec=5s\n");
    $machine->run('systemctl', 'daemon-reload');
    is((($machine->run('systemctl', 'restart', $unit))[0]), 0, 'restarted');
    my $pid = main_pid();
    $machine->run('kill', '-STOP', $pid);
    replaced($pid, 'the watchdog has it started anew');
    like journal(), qr/Watchdog timeout/, 'and says why';
    is((goconnect('status'))[0], 0, 'it answers');
};

subtest 'its end' => sub {
    unlink "$root/etc/systemd/system/$unit.d/test.conf";
    $machine->run('systemctl', 'daemon-reload');
    my ($status, $said) = goconnect('down');
    is $status, 0, 'goconnect down' or diag $said;
    is((($machine->run('systemctl', 'stop', $unit))[0]), 0, 'systemctl stop');
    is $machine->show($unit, 'ActiveState'), 'inactive', 'it is not there';
    is $machine->show($unit, 'Result'), 'success', 'and ended well';
    is wireguard(), '', 'no process is left';
    unlike +($machine->run('ip', 'link'))[1], qr/gc-/, 'no interface';
    unlike +($machine->run('nft', 'list', 'tables'))[1], qr/goconnect/, 'no table';
};

}
}

$machine->stop;
}

done_testing;

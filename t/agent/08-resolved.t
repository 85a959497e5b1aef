# Names by systemd-resolved: the real one, on a message bus of its own.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use AgentTest;
use Test::More;

# The package itself would take over this machine's resolv.conf: only its files
# are wanted.
my $files = "$BUILD/resolved";
if (!-x "$files/lib/systemd/systemd-resolved") {
    system('sh', '-c', "rm -rf '$files.new' '$files' && mkdir -p '$files.new/deb' && cd '$files.new/deb' && "
        . "get='apt-get -q -o APT::Sandbox::User=root download systemd-resolved' && { "
        . "\$get || { apt-get -q -o DPkg::Lock::Timeout=600 update && \$get; }; } >log 2>&1 && "
        . "dpkg -x systemd-resolved_*.deb .. && mv '$files.new' '$files'") == 0
        or die "systemd-resolved cannot be had: see $files.new/deb/log";
}

my ($lab, $plane, $a) = lab_with_agent(no_daemon => 1);
my $host = $a->host;
my $etc = $host->home . '/etc';

$host->must('sh', '-c', <<"END");
set -e
cp -a /etc $etc
rm -f $etc/resolv.conf
echo nameserver 127.0.0.53 >$etc/resolv.conf
echo 'hosts: dns' >$etc/nsswitch.conf
grep -q ^systemd-resolve: $etc/group || echo systemd-resolve:x:64998: >>$etc/group
grep -q ^systemd-resolve: $etc/passwd ||
    echo systemd-resolve:x:64998:64998::/:/usr/sbin/nologin >>$etc/passwd
mkdir -p $etc/systemd
printf '[Resolve]\\nDNSSEC=no\\nFallbackDNS=\\n' >$etc/systemd/resolved.conf
cat >$etc/bus.conf <<'BUS'
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/> <allow own="*"/> <allow send_type="method_call"/>
    <allow send_type="signal"/> <allow send_requested_reply="true"/>
    <allow receive_type="method_call"/> <allow receive_type="signal"/>
    <allow receive_type="method_return"/> <allow receive_type="error"/>
  </policy>
</busconfig>
BUS
mount --bind $etc /etc
mkdir -p /run/dbus /run/systemd/resolve
chown systemd-resolve: /run/systemd/resolve
END

my $bus;
sub bus { $bus = $host->start('bus', 'dbus-daemon', '--config-file=/etc/bus.conf', '--nofork', '--nopidfile') }

# systemd-resolved, until it answers on the bus.
my $resolved;
sub resolved {
    $resolved = $host->start('resolved', "$files/lib/systemd/systemd-resolved");
    until_true(sub { ($host->run("$files/usr/bin/resolvectl", 'status'))[0] == 0 }) or die $host->log('resolved');
    return;
}

sub getent {
    my (undef, $said) = $host->run('getent', @_);
    return join '; ', map { s/\s+/ /gr =~ s/ $//r } split /\n/, $said;
}

sub told { until_true(sub { $a->json('names')->{resolved} }, 45) }

# The answer to a query of a name by a protocol: its code and how many records.
sub query {
    my ($protocol, $address, $type, $name) = @_;
    my (undef, $said) = $host->run('perl', '-e', <<'END', $protocol, $address, $type, $name);
use IO::Socket::IP;
my ($protocol, $address, $type, $name) = @ARGV;
my $s = IO::Socket::IP->new(PeerHost => $address, PeerPort => 53, Proto => $protocol, Timeout => 10) or die $@;
my $query = pack('n6', 7, 0x100, 1, 0, 0, 0) . join('', map { pack 'C/a*', $_ } split /\./, $name)
    . pack('Cnn', 0, $type, 1);
alarm 10;
my $answer;
if ($protocol eq 'tcp') {
    # byte by byte, and twice on one connection
    for (1, 2) {
        $s->autoflush(1);
        print $s $_ for split //, pack('n/a*', $query);
        read $s, my $length, 2;
        read $s, $answer, unpack('n', $length);
    }
} else {
    $s->send($query);
    $s->recv($answer, 512);
}
my @header = unpack 'n6', $answer;
print $header[1] & 15, ' ', $header[3];
END
    return $said;
}

bus();
resolved();
$a->daemon;
$a->must('login', $plane->url, @{ $a->login_options });

my $lan = $plane->network('Lan', { cidr => '10.77.4.0/22', cidr6 => 'fd00:77::/64' });
$plane->add_peer($lan, { public_key => key(1), name => 'bob-desk', ip_address => '10.77.5.9',
    ip6_address => 'fd00:77::9' });
$a->must('join', $lan->{link});
my $full = 'bob-desk.lan.friends.gc';

subtest 'what resolved is told' => sub {
    ok told(), 'it is told' or diag $a->log;
    is $a->json('names')->{error}, undef, 'there is no problem';
    my $said = $host->must("$files/usr/bin/resolvectl", 'status', 'gc-lan');
    like $said, qr/DNS Servers: 10\.77\.\d+\.\d+/, 'our server';
    like $said, qr/~lan\.friends\.gc/, '... for the network\'s domain alone';
    like $said, qr/~4\.77\.10\.in-addr\.arpa/, '... and its reverse';
    like $said, qr/-DefaultRoute/, '... and for nothing else';
    like $said, qr/-LLMNR -mDNS/, 'nobody in the network is asked for names';
};

subtest 'names by resolved' => sub {
    is getent('ahostsv4', $full), "10.77.5.9 STREAM $full; 10.77.5.9 DGRAM; 10.77.5.9 RAW", 'IPv4';
    is getent('ahostsv6', $full), "fd00:77::9 STREAM $full; fd00:77::9 DGRAM; fd00:77::9 RAW", 'IPv6';
    is getent('hosts', '10.77.5.9'), "10.77.5.9 $full", 'reverse';
    is getent('hosts', 'fd00:77::9'), "fd00:77::9 $full", 'reverse, IPv6';
    is getent('ahosts', "nobody.lan.friends.gc"), '', 'a name that is none';
    my $new = $plane->add_peer($lan, { public_key => key(2), name => 'carl' });
    # no longer than resolved keeps that there was none
    ok until_true(sub { getent('ahostsv4', 'carl.lan.friends.gc') =~ /^10\.77\./ }, 60), 'a new peer has its name';
};

subtest 'the server itself' => sub {
    my $own = $a->network_of('Lan')->{ip_address};
    for my $protocol ('udp', 'tcp') {
        is query($protocol, $own, 1, $full), '0 1', "$protocol: a name";
        is query($protocol, $own, 1, "nobody.lan.friends.gc"), '3 0', "$protocol: none";
        is query($protocol, $own, 1, 'example.com'), '5 0', "$protocol: what is not ours is refused";
    }
    # more connections than it takes, all of them idle: it goes on
    is $host->must('perl', '-e', <<'END', $own), 'ok', 'idle connections';
use IO::Socket::IP;
my @s = map { IO::Socket::IP->new(PeerHost => $ARGV[0], PeerPort => 53, Proto => 'tcp') or die $@ } 1 .. 20;
print 'ok';
END
    is query('udp', $own, 1, $full), '0 1', '... leave it alive';
    ok until_true(sub { query('tcp', $own, 1, $full) eq '0 1' }), '... and for the next ones';
};

subtest 'resolved is restarted' => sub {
    $host->stop($resolved);
    ok until_true(sub { !$a->json('names')->{resolved} }), 'that it went is noticed';
    resolved();
    ok told(), 'it is told again';
    like getent('ahostsv4', $full), qr/^10\.77\.5\.9 /, '... and the names are back';
};

subtest 'the interface is made anew' => sub {
    $a->must('down');
    is getent('ahostsv4', $full), '', 'a network that is down has no names';
    $a->must('up');
    ok told(), 'resolved is told of the new interface';
    ok until_true(sub { getent('ahostsv4', $full) =~ /^10\.77\.5\.9 / }), '... and answers';
};

subtest 'the message bus is restarted' => sub {
    $host->stop($bus, 'KILL');
    ok until_true(sub { !$a->json('names')->{resolved} }), 'that it went is noticed';
    $host->stop($resolved, 'KILL');
    $host->must('rm', '-f', '/run/dbus/system_bus_socket');
    bus();
    ok until_true(sub { ($host->run('test', '-S', '/run/dbus/system_bus_socket'))[0] == 0 }), 'a new bus';
    resolved();
    ok told(), 'resolved is told again';
    ok until_true(sub { getent('ahostsv4', $full) =~ /^10\.77\.5\.9 / }), '... and answers';
};

subtest 'goconnectd is killed' => sub {
    $a->stop('KILL');
    $a->daemon;
    ok told(), 'the next one tells it';
    ok until_true(sub { getent('ahostsv4', $full) =~ /^10\.77\.5\.9 / }), '... and answers';
};

subtest 'no right to take port 53, as under systemd' => sub {
    $a->stop;
    $a->daemon('setpriv', '--bounding-set', '-net_bind_service');
    ok until_true(sub { ($a->cli('status'))[0] == 0 && told() }), 'resolved is told of another one';
    like $host->must("$files/usr/bin/resolvectl", 'dns', 'gc-lan'), qr/10\.77\.4\.\d+:(?!53\b)\d+/, '... by its number';
    ok until_true(sub { getent('ahostsv4', 'carl.lan.friends.gc') =~ /^10\.77\./ }), '... and finds names there';
};

$a->must('logout');
is $a->stop, 0, 'goconnectd ends with 0';
unlike $a->log, qr/Sanitizer/, 'no sanitizer has complained';

done_testing;

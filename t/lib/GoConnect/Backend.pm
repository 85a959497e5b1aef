package GoConnect::Backend;

# What every WireGuard back end of the agent must be able to do, tried with
# the driver (t/drivers/backend.c) in network namespaces of its own and
# compared with what wg(8) and ip(8) see:
#
#   GoConnect::Backend::suite('kernel', peers => 1000);
#
# Interface names hold the process id, as wireguard-go's sockets are shared by
# all namespaces of a machine.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use Test::More;
use Time::HiRes qw(time);

my $ROOT = abs_path(dirname(__FILE__) . '/../../..');
my $BUILD = $ENV{GOCONNECT_BUILD} // "$ROOT/build";
my $DRIVER = "$BUILD/drivers/backend";

my ($backend, $dir, %ns, $owner, $interface);

# The codes of plan/error.h that are looked for here.
my %CODE = (PORT_IN_USE => 6, NAME_IN_USE => 7, ROUTE_IN_USE => 8);

sub in { my ($ns, @command) = @_; return ('ip', 'netns', 'exec', $ns{$ns}, @command) }

sub netns { return $ns{ $_[0] } }

# The state folder of a namespace.
sub folder { return "$dir/$_[0]" }

sub capture {
    my (@command) = @_;
    my $pid = open(my $out, '-|') // die "fork: $!";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        exec @command or POSIX::_exit(127);
    }
    local $/;
    my $text = <$out> // '';
    close $out;
    return ($?, $text);
}

sub must {
    my (@command) = @_;
    my ($status, $text) = capture(@command);
    die "@command: $text" if $status != 0;
    return $text;
}

sub command {
    my ($ns, @arguments) = @_;
    make_path("$dir/$ns") if !-d "$dir/$ns";
    return in($ns, $DRIVER, $backend, "$dir/$ns", @arguments);
}

sub driver { return capture(command(@_)) }

# ------------------------------------------------------------------ what to want

sub uuid { sprintf '%08x-%04x-4000-8000-%012x', @_ }

sub private_key {
    my @b = map { int rand 256 } 1 .. 32;
    $b[0] &= 248;
    $b[31] = $b[31] & 127 | 64;
    return encode_base64(pack('C*', @b), '');
}

sub public_key {
    my ($private) = @_;
    require IPC::Open2;
    my $pid = IPC::Open2::open2(my $out, my $in, 'wg', 'pubkey');
    print $in "$private\n";
    close $in;
    chomp(my $public = <$out>);
    waitpid $pid, 0;
    return $public;
}

sub peer {
    my ($n, %more) = @_;
    return {
        id => uuid($n, 1, $n), name => "peer-$n", username => "user$n", role => 'member',
        ip_address => sprintf('10.77.%d.%d', $n >> 8, $n & 255),
        ip6_address => sprintf('fd00:77::%x', $n),
        public_key => encode_base64(pack('C*', map { int rand 256 } 1 .. 32), ''),
        endpoints => [ sprintf('192.0.2.%d:%d', $n % 250 + 1, 1024 + $n % 60000) ],
        gateway => JSON::PP::false, via => undef, %more,
    };
}

# One network as the daemon would know it; peers->[0] is ourselves.
sub network {
    my ($name, $port, $peers, %more) = @_;
    return {
        name => $name, listen_port => $port, private_key => $more{private_key} // private_key(),
        peer_id => $more{me} // $peers->[0]{id},
        netmap => {
            network_id => uuid(9, 9, 9), version => 1, part => 0, last => JSON::PP::true,
            network => { id => uuid(9, 9, 9), tenant_id => undef, name => 'Lan', slug => 'lan',
                cidr => '10.77.0.0/16', cidr6 => 'fd00:77::/64' },
            peers => $peers,
        },
    };
}

sub file {
    my (@networks) = @_;
    my $path = "$dir/wish-" . int(rand 1e9) . '.json';
    open my $fh, '>', $path or die "$path: $!";
    print $fh JSON::PP->new->canonical->encode(\@networks);
    close $fh;
    return $path;
}

# ------------------------------------------------------------------ what there is

# The peers as they should be: key => "endpoint allowed keepalive".
sub expected {
    my ($network) = @_;
    my %by_id = map { $_->{id} => $_ } @{ $network->{netmap}{peers} };
    my %allowed;
    for my $p (values %by_id) {
        next if $p->{id} eq $network->{peer_id};
        push @{ $allowed{ $p->{via} // $p->{id} } }, "$p->{ip_address}/32", "$p->{ip6_address}/128";
    }
    return { map { $by_id{$_}{public_key} => join ' ', $by_id{$_}{endpoints}[0] // '(none)',
        join(',', sort @{ $allowed{$_} }), 'off' } keys %allowed };
}

# The same as wg(8) sees it.
sub seen {
    my ($ns, $name) = @_;
    my (undef, @lines) = split /\n/, must(in($ns, 'wg', 'show', $name, 'dump'));
    return { map {
        my @f = split /\t/;
        $f[0] => join ' ', $f[2], join(',', sort split /,/, $f[3]), $f[7];
    } @lines };
}

# Everything of the namespace that a run may change: for "the same end". wg(8)
# tells of every wireguard-go of this machine, also of another run's.
# Whether a state is another one than it shall be, for good: the kernel does some
# of its part a moment later. The lines that only one of them has, or ''.
sub differs {
    my ($ns, $whole) = @_;
    my ($end, $now) = (time + 10);
    do {
        $now = state($ns);
        return '' if $now eq $whole;
    } while time < $end;
    my %count;
    $count{$_}-- for split /\n/, $whole;
    $count{$_}++ for split /\n/, $now;
    return join '', map { ($count{$_} < 0 ? '- ' : '+ ') . "$_\n" } grep { $count{$_} } sort keys %count;
}

sub state {
    my ($ns) = @_;
    # not `show all`: others' wireguard-go come and go in the same folder
    my ($status, $wg) = capture(in($ns, 'wg', 'show', $interface, 'dump'));
    my $text = $status == 0 ? $wg =~ s/^/$interface\t/mgr : '';
    $text .= "\n" . must(in($ns, 'sh', '-c', 'ip -d link; ip address;'
        . 'ip route show table all; ip -6 route show table all'));
    # interface numbers, counters and what the kernel makes up for itself
    $text =~ s/^\d+: //mg;
    $text =~ s/(?:pref(?:erred)?_lft|valid_lft)\s+\S+//g;
    $text =~ s/^.*fe80::.*$//mg;
    $text =~ s/\bqlen \d+|\bstate \S+|\bqdisc \S+//g;
    $text =~ s/\t\d+\t\d+\t\d+\toff$/\toff/mg;
    return join "\n", sort grep { /\S/ } split /\n/, $text;
}

sub namespaces {
    for my $ns (@_) {
        $ns{$ns} = sprintf "gcb%d%s", $$, $ns;
        must('ip', 'netns', 'add', $ns{$ns});
        must(in($ns, qw(ip link set lo up)));
    }
    return;
}

sub clean {
    return if !defined $owner || $owner != $$;
    driver($_, 'down') for grep { -d "$dir/$_" } keys %ns;
    system 'ip', 'netns', 'del', $_ for values %ns;
    undef $owner;
    return;
}

END {
    my $status = $?;
    clean();
    $? = $status;
}

# ------------------------------------------------------------------------ the tests

sub applies_and_reads_back {
    my ($name, $count) = @_;
    my $wish = network($name, 50001, [ map { peer($_) } 1 .. $count ]);
    my $file = file($wish);
    my $start = time;
    my ($status, $text) = driver('a', 'apply', $file);
    is $status, 0, "$count peers are applied" or diag $text;
    diag sprintf '%s: %d peers applied in %.0f ms', $backend, $count, 1e3 * (time - $start);
    is_deeply seen('a', $name), expected($wish), 'wg sees exactly these';
    is must(in('a', 'wg', 'show', $name, 'private-key')), "$wish->{private_key}\n", 'and the key';
    like must(in('a', 'wg', 'show', $name, 'listen-port')), qr/^50001$/, 'and the port';
    my $link = must(in('a', qw(ip -d link show), $name));
    like $link, qr/mtu 1420\b/, 'MTU';
    like $link, qr/alias goconnect:\Q$wish->{netmap}{network_id}\E/, 'alias';
    like must(in('a', qw(ip address show), $name)), qr{inet 10\.77\.0\.1/16 .*fd00:77::1/64 }s,
        'addresses';
    is must(in('a', qw(ip route show proto 201))),
        "10.77.0.0/16 dev $name scope link \n", 'the IPv4 route is ours';
    like must(in('a', qw(ip -6 route show proto 201))), qr{^fd00:77::/64 dev \Q$name\E metric \d+},
        'the IPv6 route is ours';
    unlike must(in('a', qw(ip route show proto kernel))), qr/10\.77/, 'and the kernel made none';

    ($status, $text) = driver('a', 'dump');
    my @peers = grep { /^\S+\t\S{44}\t[^\t]*\t[^\t]*\toff$/ } split /\n/, $text;
    is scalar @peers, $count - 1, 'the back end reads them back';
    ($status, $text) = driver('a', 'apply', $file);
    is $text, "operations 0\n", 'and has nothing more to do';
    return $wish;
}

sub changes_only_what_changed {
    my ($wish) = @_;
    my $peers = $wish->{netmap}{peers};
    my $name = $wish->{name};
    my @next = (@$peers[0 .. $#$peers - 10], map { peer(50000 + $_) } 1 .. 7);
    $next[5] = { %{ $next[5] }, endpoints => ['[2001:db8::7]:4242'] };
    # an address moves from one peer to another
    $next[6] = { %{ $next[6] }, ip_address => $peers->[-1]{ip_address} };
    my $next = network($name, 50001, \@next, private_key => $wish->{private_key});
    my ($status, $text) = driver('a', 'apply', file($next));
    is $status, 0, 'a changed netmap is applied' or diag $text;
    is_deeply seen('a', $name), expected($next), 'wg sees the change';
    my ($added, $removed, $changed) = (0, 0, 0);
    while ($text =~ /peers \+(\d+) -(\d+) ~(\d+)/g) {
        $added += $1;
        $removed += $2;
        $changed += $3;
    }
    # the peer with the new endpoint never had a handshake: it is made anew
    is "$added $removed $changed", '8 11 1', 'and no peer more was touched';
    ($status, $text) = driver('a', 'apply', file($next));
    is $text, "operations 0\n", 'nothing more to do';
    return;
}

# A gateway with so many addresses that they fit no message.
sub splits_allowed_ips {
    my ($name) = @_;
    my $me = peer(1);
    my $gateway = peer(2, gateway => JSON::PP::true);
    my $wish = network($name, 50001,
        [ $me, $gateway, map { peer($_, via => $gateway->{id}) } 3 .. 3000 ]);
    my $file = file($wish);
    my ($status, $text) = driver('a', 'apply', $file);
    is $status, 0, '5,998 allowed ips of one peer' or diag $text;
    is_deeply seen('a', $name), expected($wish), 'all are there';
    ($status, $text) = driver('a', 'apply', $file);
    is $text, "operations 0\n", 'and are read back whole';
    return;
}

sub killed_anywhere_it_converges {
    my ($name) = @_;
    my $peers = [ map { peer($_) } 1 .. 20 ];
    my $file = file(network($name, 50001, $peers));
    driver('a', 'down');
    my $clean = state('a');
    my ($status, $text) = driver('a', 'apply', $file);
    is $status, 0, 'a whole run' or diag $text;
    my ($total) = $text =~ /^operations (\d+)/m;
    my $whole = state('a');
    cmp_ok $total, '>', 8, "has $total operations";
    my (@wrong, @orphan);
    for my $k (0 .. $total - 1) {
        driver('a', 'down');
        ($status, $text) = driver('a', 'apply', $file, $k);
        is $status & 127, 9, "killed after $k operations";
        ($status, $text) = driver('a', 'apply', $file);
        my $differs = differs('a', $whole);
        push @wrong, "$k: $text$differs" if $status || $differs;
        # and killed on the way, then not wanted any more
        driver('a', 'down');
        driver('a', 'apply', $file, $k);
        driver('a', 'down');
        $differs = differs('a', $clean);
        push @orphan, "$k: $differs" if $differs;
    }
    is_deeply \@wrong, [], 'the next run ends as if nothing had happened';
    is_deeply \@orphan, [], 'and nothing is orphaned';
    return;
}

sub leaves_others_alone {
    my ($name) = @_;
    driver('a', 'down');
    must(in('a', qw(ip link add gc-others type veth peer name others)));
    must(in('a', qw(ip link set gc-others alias), 'goconnect:not-a-uuid'));
    must(in('a', qw(ip address add 10.99.0.1/24 dev gc-others)));
    must(in('a', qw(ip link set gc-others up)));
    must(in('a', qw(ip route add 10.98.0.0/24 dev gc-others proto 201)));
    my $before = state('a');
    my $peers = [ map { peer($_) } 1 .. 3 ];
    my ($status) = driver('a', 'apply', file(network($name, 50001, $peers)));
    is $status, 0, 'up beside somebody else\'s gc- interface';
    driver('a', 'down');
    is state('a'), $before, 'and down again: it is as it was';

    ($status, my $text) = driver('a', 'apply', file(network('gc-others', 50001, $peers)));
    is $status >> 8, 1, 'its name cannot be taken';
    like $text, qr/error $CODE{NAME_IN_USE}:/, 'which the error says';
    is state('a'), $before, 'and it is as it was';

    must(in('a', qw(ip route add 10.77.0.0/16 dev gc-others)));
    ($status, $text) = driver('a', 'apply', file(network($name, 50001, $peers)));
    like $text, qr/error $CODE{ROUTE_IN_USE}: .*10\.77\.0\.0\/16/, 'nor its route';
    like must(in('a', qw(ip route show 10.77.0.0/16))), qr/dev gc-others/, 'which stays';
    driver('a', 'down');
    must(in('a', qw(ip link del gc-others)));
    return;
}

sub says_that_the_port_is_taken {
    my ($name) = @_;
    my $pid = open(my $holder, '-|', in('a', 'perl', '-MIO::Socket::INET', '-e',
        '$| = 1; my $s = IO::Socket::INET->new(Proto => "udp", LocalPort => 50002) or die $!;'
        . 'print "up\n"; sleep 60')) // die "fork: $!";
    is scalar <$holder>, "up\n", 'somebody holds UDP port 50002';
    my $peers = [ map { peer($_) } 1 .. 3 ];
    my ($status, $text) = driver('a', 'apply', file(network($name, 50002, $peers)));
    is $status >> 8, 1, 'it cannot be ours';
    like $text, qr/error $CODE{PORT_IN_USE}:/, 'which the error says' or diag $text;
    my $file = file(network($name, 50003, $peers));
    ($status, $text) = driver('a', 'apply', $file);
    is $status, 0, 'another port will do' or diag $text;
    like must(in('a', 'wg', 'show', $name, 'listen-port')), qr/^50003$/, 'it is set';
    kill TERM => $pid;
    close $holder;
    return;
}

sub tells_of_changes {
    my $pid = open(my $watch, '-|', in('a', $DRIVER, $backend, "$dir/a", 'watch'))
        // die "fork: $!";
    is scalar <$watch>, "ready\n", 'the monitor listens';
    must(in('a', qw(ip link add watched type bridge)));
    is scalar <$watch>, "changed\n", 'and tells of a new link';
    close $watch;
    must(in('a', qw(ip link del watched)));
    return;
}

sub knows_its_addresses {
    must(in('a', qw(ip link add eth7 type veth peer name eth8)));
    must(in('a', qw(ip link add br-abc type bridge)));
    must(in('a', qw(ip link set eth8 up)));
    must(in('a', qw(ip link set eth7 up)));
    must(in('a', qw(ip link set br-abc up)));
    must(in('a', qw(ip address add 172.17.0.1/16 dev br-abc)));
    must(in('a', qw(ip address add 192.0.2.7/24 dev eth7)));
    must(in('a', qw(ip address add 192.0.2.8/24 dev eth7)));
    must(in('a', qw(ip address add 169.254.7.7/16 dev eth7)));
    must(in('a', qw(ip -6 address add 2001:db8::7/64 dev eth7 nodad)));
    must(in('a', qw(ip route add default via 192.0.2.1)));
    my ($status, $text) = driver('a', 'local');
    my @bridge = grep { /172\.17/ } split /\n/, $text;
    is_deeply \@bridge, ['address 172.17.0.1/16'],
        'a bridge of containers is told of but shares no subnet';
    my @addresses = map { s/^address //r } grep { /^address/ } split /\n/, $text;
    is_deeply \@addresses,
        [ '192.0.2.7/24', '192.0.2.8/24', '2001:db8::7/64', '172.17.0.1/16' ],
        'its usable addresses, the best first';
    like $text, qr/^default4 1 default6 0$/m, 'where the default routes are';
    must(in('a', qw(ip link del eth7)));
    must(in('a', qw(ip link del br-abc)));
    return;
}

# Many a machine has IPv6 switched off.
sub does_without_ipv6 {
    my ($name) = @_;
    my $switch = '/proc/sys/net/ipv6/conf/default/disable_ipv6';
    driver('a', 'down');
    must(in('a', 'sh', '-c', "echo 1 > $switch"));
    my $file = file(network($name, 50001, [ map { peer($_) } 1 .. 3 ]));
    my ($status, $text) = driver('a', 'apply', $file);
    is $status, 0, 'a network is up without' or diag $text;
    unlike $text, qr/fd00:/, 'and nothing of IPv6 is tried';
    ($status, $text) = driver('a', 'apply', $file);
    is $text, "operations 0\n", 'nothing more to do';
    driver('a', 'down');
    must(in('a', 'sh', '-c', "echo 0 > $switch"));
    return;
}

# Two hosts, as two daemons would configure them.
sub two_hosts_reach_each_other {
    my ($name) = @_;
    driver('a', 'down');
    must('ip', 'link', 'add', 'eth0', 'netns', $ns{a}, 'type', 'veth', 'peer', 'name', 'eth0',
        'netns', $ns{b});
    my %key = map { $_ => private_key() } qw(a b);
    my %address = (a => '192.0.2.1', b => '192.0.2.2');
    my @peers = map { peer($_ eq 'a' ? 1 : 2, public_key => public_key($key{$_}),
        endpoints => ["$address{$_}:50001"]) } qw(a b);
    for my $ns (qw(b a)) {
        must(in($ns, 'ip', 'address', 'add', "$address{$ns}/24", 'dev', 'eth0'));
        must(in($ns, qw(ip link set eth0 up)));
        my ($status, $text) = driver($ns, 'apply', file(network($name, 50001, \@peers,
            private_key => $key{$ns}, me => $peers[ $ns eq 'a' ? 0 : 1 ]{id})));
        is $status, 0, "host $ns is up" or diag $text;
    }
    for my $target (qw(10.77.0.2 fd00:77::2)) {
        my ($status, $text) = capture(in('a', qw(ping -c 3 -i 0.2 -W 10), $target));
        is $status, 0, "a reaches $target" or diag $text;
    }
    my ($status) = capture(in('b', qw(ping -c 1 -W 10 10.77.0.1)));
    is $status, 0, 'b reaches a';
    ($status, my $text) = driver('a', 'apply', file(network($name, 50001, \@peers,
        private_key => $key{a})));
    is $text, "operations 0\n", 'a live session is left alone';
    driver($_, 'down') for qw(a b);
    must(in('a', qw(ip link del eth0)));
    return;
}

sub suite {
    my ($which, %opt) = @_;
    plan skip_all => 'needs root' if $> != 0;
    die "$DRIVER is missing: make agent\n" if !-x $DRIVER;
    ($backend, $owner) = ($which, $$);
    $dir = tempdir('gcb-XXXXXX', DIR => '/tmp', CLEANUP => 1);
    srand 7;
    namespaces(qw(a b));
    my $name = $interface = sprintf 'gc-%x', $$;
    my $wish;

    subtest 'peers' => sub { $wish = applies_and_reads_back($name, $opt{peers} // 1000) };
    subtest 'differences' => sub { changes_only_what_changed($wish) };
    subtest 'one peer larger than a message' => sub { splits_allowed_ips($name) };
    subtest 'killed after each operation' => sub { killed_anywhere_it_converges($name) };
    subtest 'others' => sub { leaves_others_alone($name) };
    subtest 'port' => sub { says_that_the_port_is_taken($name) };
    subtest 'monitor' => sub { tells_of_changes() };
    subtest 'own addresses' => sub { knows_its_addresses() };
    subtest 'without IPv6' => sub { does_without_ipv6($name) };
    subtest 'two hosts' => sub { two_hosts_reach_each_other($name) };
    $opt{more}->($name) if $opt{more};
    clean();
    return done_testing();
}

1;

# The routers of the NAT lab do as those at home: what a STUN server sees of a
# host behind each kind, what comes back in, and who reaches whom without it.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Errno;
use GoConnect::NatLab;
use GoConnect::Server;
use IO::Select;
use IO::Socket::IP;
use JSON::PP qw(decode_json);
use Test::More;
use Time::HiRes qw(sleep);

my $lab = GoConnect::NatLab->new;
$lab->enter;
my $PORT = 3478;
my ($here, $other, $here6) = ($GoConnect::Lab::SERVER, $GoConnect::NatLab::OTHER, $GoConnect::NatLab::SERVER6);
my $s = GoConnect::Server->start(address => $here, http => 'goconnect_relay 7d0f5c2e-0000-4000-8000-00000000a11c '
    . "listen=$here listen=$other listen=[$here6] peers=10;");

# What a host hears from the servers, asked from one socket: where it is seen by
# each, and from where else an answer comes in.
sub heard {
    my ($host, %opt) = @_;
    my ($status, $said) = $host->run({ timeout => 120 }, $^X, '-I', "$FindBin::Bin/../lib", '-MGoConnect::NatLab::Probe',
        '-e', 'GoConnect::NatLab::Probe::run(@ARGV)', $opt{six} ? ($here6) : ($here, $other), $PORT, $GoConnect::NatLab::PORT,
        $opt{tries} // 100);
    return eval { decode_json($said) } // die "the probe failed: $said";
}

# In how many places three servers see it; whether answers come in from another
# port, and from another address. A router without a filter takes what comes in
# unasked for its own, so that its port is not free any more for who is asked
# there afterwards.
my %want = (
    public          => [ 1, 1, 1 ],
    cone            => [ 1, 0, 0 ],
    reject          => [ 1, 0, 0 ],
    open            => [ 2, 0, 0 ],
    symmetric       => [ 3, 0, 0 ],
    forward         => [ 1, 1, 1 ],
    blocked         => undef,
    cgnat           => [ 1, 0, 0 ],
    cgnat_symmetric => [ 3, 0, 0 ],
);

for my $kind (@GoConnect::NatLab::KINDS) {
    subtest $kind => sub {
        my $host = $lab->behind($kind =~ tr/_/-/r, $kind);
        my $want = $want{$kind};
        my $heard = heard($host, $want ? () : (tries => 4));
        if (!$want) {
            is_deeply $heard->{mapped}, [], 'nothing comes by UDP';
            ok defined $host->reaches($here, 60), 'but there is a way';
            return;
        }
        my %seen = map { $_ => 1 } @{ $heard->{mapped} };
        is scalar(@{ $heard->{mapped} }), 3, 'all servers answer';
        my $places = keys %seen;
        # ports by chance may be the same now and then
        ok $places == $want->[0] || $want->[0] == 3 && $places == 2, "in $want->[0] places";
        my $outside = $kind eq 'public' ? $host->address
            : $kind =~ /^cgnat/ ? $lab->router($lab->router($kind =~ tr/_/-/r)->name)->address
            : $lab->router($kind)->address;
        like +(keys %seen)[0], qr/^\Q$outside\E:/, '... of the outermost router';
        is $heard->{port}, $want->[1], 'an answer from another port comes in: ' . ($want->[1] ? 'yes' : 'no');
        is $heard->{address}, $want->[2], 'an answer from another address comes in: ' . ($want->[2] ? 'yes' : 'no');
    };
}

subtest 'who knocks' => sub {
    for my $case ([ 'cone', 0, 'a router drops it' ], [ 'reject', 1, 'one refuses it' ], [ 'open', 1, 'one says that nobody listens' ]) {
        my ($kind, $answered, $name) = @$case;
        my $before = $lab->refused($kind) // 0;
        my $socket = IO::Socket::IP->new(Proto => 'udp', PeerHost => $lab->router($kind)->address, PeerPort => 40000);
        if ($answered) {
            $socket->send('x');
            ok((IO::Select->new($socket)->can_read(30) && !defined $socket->recv(my $text, 10) && $!{ECONNREFUSED}), $name);
        } else {
            my $end = time + 30;
            while ($lab->refused($kind) == $before && time < $end) {
                $socket->send('x');
                sleep 0.1;
            }
            cmp_ok $lab->refused($kind), '>', $before, $name;
        }
    }
};

sub pings { my ($from, $to) = @_; return ($from->run({ timeout => 20 }, 'ping', '-n', '-c1', '-W1', $to))[0] == 0 }

subtest 'neighbours' => sub {
    my $cone = $lab->{host}{cone};
    my $same = $lab->behind('same', lan_of => 'cone');
    my $next = $lab->behind('next', router_of => 'cone');
    my $sub = $lab->behind('sub', provider_of => 'cgnat');
    ok defined $same->reaches($cone->{inner}, 60), 'on one LAN they reach each other';
    ok !pings($next, $cone->{inner}), 'on two LANs of one router they do not';
    ok !pings($sub, $lab->router('cgnat')->{inner}), 'nor does a subscriber get into the router of another one';
    ok defined $_->reaches($here, 60), $_->name . ' reaches the internet' for $same, $next, $sub;
};

subtest 'IPv6' => sub {
    for my $kind (qw(cone cgnat)) {
        my $host = $lab->{host}{$kind};
        my $heard = heard($host, six => 1);
        my %seen = map { $_ => 1 } @{ $heard->{mapped} };
        like join(' ', keys %seen), qr/^\[\Q$host->{inner6}\E\]:\d+$/, "$kind: nobody translates it";
        is $heard->{port}, 0, '... and what was not asked for is dropped';
    }
};

$s->stop;
$lab->destroy;
done_testing;

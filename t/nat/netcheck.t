# goconnect netcheck behind a router of every kind, asking the relay of our own
# server: it says what the lab has built.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::NatLab;
use GoConnect::Server;
use JSON::PP;
use Test::More;

my $BUILD = $GoConnect::Server::BUILD;
my $lab = GoConnect::NatLab->new;
$lab->enter;
my ($here, $other) = ($GoConnect::Lab::SERVER, $GoConnect::NatLab::OTHER);
my $s = GoConnect::Server->start(address => $here, http => 'goconnect_relay 7d0f5c2e-0000-4000-8000-00000000a11c '
    . "listen=$here listen=$other peers=10;");

# answered, mapping, filtering, whether there is a NAT, whether it keeps the port
my ($FREE, $BOTH) = qw(endpoint_independent address_and_port_dependent);
my %want = (
    public          => [ 1, $FREE, $FREE, 0, 1 ],
    cone            => [ 1, $FREE, $BOTH, 1, 1 ],
    reject          => [ 1, $FREE, $BOTH, 1, 1 ],
    open            => [ 1, $FREE, $BOTH, 1, 1 ],
    symmetric       => [ 1, $BOTH, $BOTH, 1, 0 ],
    cgnat           => [ 1, $FREE, $BOTH, 1, 1 ],
    cgnat_symmetric => [ 1, $BOTH, $BOTH, 1, 0 ],
    blocked         => [ 0, 'unknown', 'unknown', undef, undef ],
);

for my $kind (sort keys %want) {
    subtest $kind => sub {
        my $host = $lab->behind($kind =~ tr/_/-/r, $kind);
        my $daemon = $host->start('goconnectd', "$BUILD/goconnectd", '--backend', 'userspace');
        my $end = time + 60;
        1 until ($host->run("$BUILD/goconnect", 'status'))[0] != 3 || time > $end;
        my ($status, $said) = $host->run({ timeout => 60 }, "$BUILD/goconnect", 'netcheck', $here, '--json');
        my $found = eval { decode_json($said)->{ipv4} } // {};
        is_deeply [ map { JSON::PP::is_bool($_) ? 0 + $_ : $_ } @$found{qw(answered mapping filtering nat port_kept)} ],
            $want{$kind}, 'it says so' or diag $said;
        is $host->stop($daemon), 0, 'goconnectd ends with 0';
    };
}

$s->stop;
$lab->destroy;
done_testing;

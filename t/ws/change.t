# One peer's change costs each member of its network one small frame, of the
# same size however many they are; a whole map comes at first contact alone.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use Mojo::JSON qw(encode_json);
use Test::More;

my $s = GoConnect::Server->start(workers => 2);
my $ada = $s->register('ada');
my @as = (token => $ada->{token});
my $t = $s->must(201, POST => '/v1/tenants', { name => 'Hall' }, @as);

# What arrives at each of n members when one of them changes its name.
sub change {
    my ($n) = @_;
    my $network = $s->must(201, POST => "/v1/tenants/$t->{id}/networks", { name => "lan $n", join_policy => 'open' }, @as);
    my $topic = "network:$network->{id}";
    my (@peer, @ws);
    for my $i (1 .. $n) {
        my $device = $s->device($ada, name => "box-$n-$i");
        push @peer, $s->must([ 200, 201 ], POST => "/v1/networks/$network->{id}/peers",
            { public_key => GoConnect::Server::wg_key(), name => sprintf('peer-%03d', $i) }, token => $device->{token});
        push @ws, $s->ws(token => $device->{token});
    }
    for my $ws (@ws) {
        $ws->ask(subscribe => { topics => [ { topic => $topic, seq => undef } ] });
        is scalar @{ $ws->expect('netmap')->{data}{peers} }, $n, "the map has $n peers";
    }
    $s->must(200, PATCH => "/v1/peers/$peer[0]{id}", { name => 'changed' }, @as);
    my %bytes;
    for my $ws (@ws) {
        my $delta = $ws->expect('netmap_delta');
        is_deeply [ map { $_->{id} } @{ $delta->{data}{upsert} } ], [ $peer[0]{id} ], 'a delta of one peer';
        is_deeply $delta->{data}{remove}, [], '... and nothing else';
        $bytes{ length encode_json($delta->{data}{upsert}[0]) }++;
        $ws->ask(ping => {});
        is scalar(grep { $_->{type} =~ /^(netmap|self)/ } $ws->frames), 0, '... and no other frame of maps';
    }
    $_->close for @ws;
    is scalar keys %bytes, 1, 'the same for all';
    return %bytes;
}

my ($few) = change(3);
my ($many) = change(40);
# addresses may differ by a digit or two
cmp_ok abs($many - $few), '<=', 8, "its size does not grow with the network ($few and $many bytes)";

$s->stop;
done_testing;

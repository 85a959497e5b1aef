#!/usr/bin/perl
# The netmap has one schema, in html/openapi.yaml: what the server sends is of
# it, and the agent understands what is of it. A device follows a network over
# its WebSocket while everything in it changes.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Cluster;
use GoConnect::Contract;
use GoConnect::Server;
use GoConnect::World;
use JSON::Validator;
use Mojo::File qw(tempfile);
use Mojo::JSON qw(encode_json true false);
use Test::More;

my $DRIVER = ($ENV{GOCONNECT_BUILD} // "$GoConnect::Cluster::ROOT/build") . '/drivers/netmap';
my $schemas = GoConnect::Contract::api()->{components}{schemas};
my %schema = (netmap => 'NetmapPart', netmap_delta => 'NetmapDelta');
my %validator = map {
    ($_ => JSON::Validator->new->schema(
        { %{ $schemas->{ $schema{$_} } }, components => { schemas => $schemas } }))
} keys %schema;

# What the agent says to frames, a line for each.
sub agent {
    my (@frame) = @_;
    my $file = tempfile;
    $file->spurt(join '', map { encode_json($_) . "\n" } @frame);
    my $said = `'$DRIVER' < '$file'`;
    is $?, 0, 'the agent reads them all';
    return split /\n/, $said;
}

sub of_schema {
    my ($what, $frame) = @_;
    my @wrong = $validator{ $frame->{type} }->validate($frame->{data});
    return is join("\n", @wrong), '', "$what: of the schema";
}

# ------------------------------------------------------------------- examples

my ($map, $delta) = map { { type => $_, data => $schemas->{ $schema{$_} }{example} } }
    qw(netmap netmap_delta);
of_schema('the example of a netmap', $map);
of_schema('the example of a delta', $delta);
is_deeply [ agent($map, $delta) ],
    [ 'done 57 1 1 1 1380 minecraft.friday-lan.gc', 'done 58 1 1 1 1380 minecraft.friday-lan.gc' ],
    'the agent understands the examples';
my %whole = (%{ $schemas->{Netmap}{example} }, part => 0, last => true);
is_deeply [ agent({ type => 'netmap', data => \%whole }) ],
    ['done 57 1 1 1 1380 minecraft.friday-lan.gc'], '... and that of the map over HTTP';

# ------------------------------------------------------------------ the server

my $s = GoConnect::Server->start(workers => 2);
my $w = GoConnect::World->new($s);
my $home = $w->{home};
my @net = (path => [ $home->{network} ]);
$s->sql("INSERT INTO goconnect.relays (name, address4, address6, url) "
    . "VALUES ('b', '127.0.0.1', '2001:db8::5', 'wss://b/v1/relay'), ('a', '203.0.113.4', NULL, NULL)");
$w->must(200, 'rules_put', as => 'admin', @net, body => { rules => [ { action => 'deny',
    source => 'tag:guest', protocol => 'udp', port_first => 53, port_last => 54 } ] });

my $ws = $s->ws(token => $w->token('member device'));
$ws->expect('hello');
$ws->ask(subscribe => { topics => [ { topic => "network:$home->{network}", seq => undef } ] });
my @frame = $ws->expect('netmap');
of_schema('the netmap', $frame[0]);

sub follow {
    my ($what, %part) = @_;
    my $frame = $ws->expect('netmap_delta');
    of_schema($what, $frame);
    for my $name (qw(network relays dns rules)) {
        is !!exists $frame->{data}{$name}, !!$part{$name}, "$what: "
            . ($part{$name} ? '' : 'not ') . $name;
    }
    push @frame, $frame;
    return $frame->{data};
}

my $owner = $w->must(201, 'peers_create', as => 'owner', @net, body => {
    device_id => $w->{device}{owner}{id}, public_key => $s->wg_key, name => 'gate',
    endpoints => [ '192.0.2.7:51820', '[2001:db8::7]:51820' ] });
follow('a peer comes');
my @own = (path => [ $owner->{id} ]);
$w->must(200, 'peers_update', as => 'owner', @own, body => { gateway_offered => true,
    gateway => true, tags => [ 'a', 'b' ], routes => [ '192.168.5.0/24', '0.0.0.0/0' ],
    approved_routes => ['192.168.5.0/24'] });
is_deeply follow('it is tagged, routes and is the gateway')->{upsert}[0]{routes},
    ['192.168.5.0/24'], '... by what is approved';
my $key = $s->wg_key;
$w->must(200, 'peers_rotate', as => 'owner', @own, body => { public_key => $key });
is follow('its next key')->{upsert}[0]{next_public_key}, $key, '... is announced';
$w->must(200, 'peers_rotate_commit', as => 'owner', @own, body => { public_key => $key });
is follow('its new key')->{upsert}[0]{public_key}, $key, '... is its key';
$w->must(200, 'networks_update', as => 'admin', @net,
    body => { settings => { mtu => 1300, birthday_punching => false, reflector_ports => [4445] } });
is follow('settings', network => 1)->{network}{settings}{mtu}, 1300, '... are told';
$w->must(200, 'networks_update', as => 'admin', @net, body => { slug => 'fun' });
follow('another slug', network => 1, dns => 1);
$w->must(200, 'rules_put', as => 'admin', @net, body => { rules => [ { action => 'allow' },
    { action => 'deny', source => "peer:$owner->{id}", destination => '10.0.0.0/8' },
    { action => 'deny', destination => 'fd00::1', protocol => 'tcp', port_first => 22 } ] });
follow('rules', rules => 1);
$w->must(200, 'tenants_update', as => 'owner', path => [ $home->{tenant} ], body => { slug => 'new-home' });
is follow('the tenant\'s slug', dns => 1)->{dns}{domain}, 'fun.new-home.gc', '... is in every name';
$w->must(204, 'peers_delete', as => 'owner', @own);
follow('the peer goes');

# as much as may be beside the peers
my $long = 'a' x 63;
$w->must(200, 'rules_put', as => 'admin', @net, body => { rules => [ map { { action => 'deny',
    source => "tag:$long", destination => "tag:b$long" =~ s/.\z//r, protocol => 'tcp', port_first => 60_000 + $_,
    port_last => 65_535 } } 1 .. 128 ] });
follow('128 rules', rules => 1);
$w->must(200, 'networks_update', as => 'admin', @net, body => { description => "\x{1F600}" x 1000 });
follow('a long description', network => 1);
$s->sql("INSERT INTO goconnect.relays (name, address4, url) SELECT 'r' || i, '203.0.113.9', 'wss://x/' || repeat('x', 500) FROM generate_series(1, 50) i");
my $second = $s->ws(token => $w->token('member device'));
$second->expect('hello');
$second->ask(subscribe => { topics => [ { topic => "network:$home->{network}", seq => undef } ] });
my $first = $second->expect('netmap');
of_schema('the largest first part', $first);
is_deeply [ map { (split ' ', $_)[0] } agent($first) ], ['done'], '... which the agent takes';
cmp_ok length(encode_json($first)), '<=', 65_536, '... and which is no longer than a part';
is scalar @{ $first->{data}{relays} }, 16, '... with not too many relays';
$second->close;
$s->sql("DELETE FROM goconnect.relays WHERE name LIKE 'r%'");

my @said = agent(@frame);
is_deeply [ map { (split ' ')[0] } @said ], [ ('done') x @frame ], 'the agent follows every step'
    or diag join "\n", @said;
my $final = $w->must(200, 'devices_netmap', as => 'member device', path => [ $home->{device} ])
    ->{networks}[0];
is $said[-1], "done $final->{version} " . @{ $final->{peers} } . ' ' . @{ $final->{rules} } . ' '
    . @{ $final->{relays} } . " $final->{network}{settings}{mtu} $final->{dns}{domain}",
    '... and has what the whole map says in the end';
is $said[0], "done $frame[0]{data}{version} 1 1 2 0 network.home.gc", '... from what it was';

# a step that was lost is noticed
is_deeply [ agent(@frame[ 0, 2 ]) ], [ $said[0], 'resync' ], 'a step is not left out';

$ws->close;
$s->stop;
done_testing;

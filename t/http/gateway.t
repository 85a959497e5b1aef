# Devices without an agent over HTTP: made, joined, their configuration as a
# file, JSON and QR code, and its private key, which is sealed at rest.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use GoConnect::World;
use MIME::Base64 qw(decode_base64 encode_base64);
use Mojo::DOM;
use Mojo::Promise;
use Mojo::JSON qw(true false);
use Test::More;

my $s = GoConnect::Server->start(workers => 2);
my $w = GoConnect::World->new($s);
my $home = $w->{home};
my @network = (path => [ $home->{network} ]);

# ---------------------------------------------------------------------- device

my %phone = (name => 'Phone', platform => 'android', agent => false);
for my $case (
    [ { %phone, public_key => $s->wg_key }, 'public_key', 'not_allowed' ],
    [ { %phone, agent => true }, 'public_key', 'required' ],
    [ { name => 'Phone', platform => 'android' }, 'public_key', 'required' ],
    [ { %phone, agent => 'no' }, 'agent', 'invalid_type' ],
    [ { %phone, agent => undef }, 'agent', 'invalid_type' ],
) {
    my ($body, $field, $code) = @$case;
    my $problem = $w->is(422, 'invalid_fields', "$field: $code", 'devices_create', as => 'member',
        body => $body);
    is "$problem->{errors}[0]{field} $problem->{errors}[0]{code}", "$field $code", '... says so';
}
my $made = $w->must(201, 'devices_create', as => 'member', body => \%phone);
is_deeply [ sort keys %$made ], [qw(device session_id)], 'a device without tokens';
my $phone = $made->{device};
ok !$phone->{agent}, 'and without an agent';
is length decode_base64($phone->{public_key}), 32, 'has an identity all the same';
isnt $w->must(201, 'devices_create', as => 'member', body => \%phone)->{device}{public_key},
    $phone->{public_key}, 'of its own';

# ------------------------------------------------------------------------ peer

my %join = (device_id => $phone->{id});
for my $case (
    [ 'member', { %join, public_key => $s->wg_key }, 'public_key', 'not_allowed' ],
    [ 'member', { device_id => $w->{device}{member}{id} }, 'public_key', 'required' ],
    [ 'admin', { %join }, 'device_id', 'unknown' ],
    [ 'member', { %join, made => {} }, 'made', 'unknown_field' ],
    [ 'member', { %join, public_key => undef }, 'public_key', 'invalid_type' ],
) {
    my ($who, $body, $field, $code) = @$case;
    my $problem = $w->is(422, undef, "$field: $code", 'peers_create', as => $who,
        @network, body => $body);
    is "$problem->{errors}[0]{field} $problem->{errors}[0]{code}", "$field $code", '... says so';
}
my $peer = $w->must(201, 'peers_create', as => 'member', @network, body => \%join);
ok !$peer->{agent}, 'its peer';
is $peer->{via}, undef, 'which nobody stands in for';
is_deeply $w->must(200, 'peers_create', as => 'member', @network, body => \%join), $peer,
    'posted again it is the same';
my $l2 = $w->must(201, 'networks_create', as => 'owner', path => [ $home->{tenant} ],
    body => { name => 'L2', mode => 'l2' });
my $tablet = $w->must(201, 'devices_create', as => 'owner', body => { %phone, name => 'Tab' })->{device};
$w->is(409, 'agent_required', 'LAN mode is for agents', 'peers_create', as => 'owner',
    path => [ $l2->{id} ], body => { device_id => $tablet->{id} });

# --------------------------------------------------------------------- gateway

my @config = ('peers_config', as => 'member', path => [ $peer->{id} ]);
my $problem = $w->is(409, 'no_gateway', 'no gateway, no configuration', @config);
like $problem->{detail}, qr/goconnect gateway on/, 'and what to do';
$w->is(409, 'no_agent', 'a phone is no gateway', 'peers_update', as => 'member',
    path => [ $peer->{id} ], body => { gateway_offered => true });

my $nas = $w->must(201, 'peers_create', as => 'admin device', @network,
    body => { public_key => $s->wg_key, name => 'nas',
        endpoints => [ '192.168.1.4:20000', '203.0.113.4:20000' ] });
my @nas = (path => [ $nas->{id} ]);
my $laptop = $w->must(200, 'peers_update', as => 'member device', path => [ $home->{peer} ],
    body => { gateway_offered => true });
ok $laptop->{gateway_offered} && !$laptop->{gateway}, 'a member\'s offer';
like $w->is(409, 'no_gateway', 'is no gateway', @config)->{detail}, qr/offers itself.*approve/,
    'until it is approved';
$nas = $w->must(200, 'peers_update', as => 'admin device', @nas, body => { gateway_offered => true });
ok $nas->{gateway}, 'an admin\'s device offers and is it';
like $w->is(409, 'no_gateway', 'but offline', @config)->{detail}, qr/nas, is offline/, 'it says which';

my $ws = $s->ws(token => $w->{device}{admin}{token});
$ws->expect('hello');
my $end = time + 30;
my ($status, $json);
do {
    ($status, $json) = $w->call('peers_config', as => 'member', path => [ $peer->{id} ],
        headers => { Accept => 'application/json' });
} until $status == 200 || time > $end;
is $status, 200, 'the gateway is on line: a configuration';
is $w->must(200, 'peers_list', as => 'member', @network)->{items}[-1]{via}, $nas->{id},
    'and the phone goes by it';

# ------------------------------------------------------------------------ JSON

is $json->{peer}{id}, $peer->{id}, 'JSON: the peer';
is length decode_base64($json->{private_key}), 32, 'its private key';
my $net = $w->must(200, 'networks_get', as => 'member', @network);
is_deeply $json->{gateway}, { peer_id => $nas->{id}, name => 'nas', username => 'admin-x',
    public_key => $nas->{public_key}, endpoint => '203.0.113.4:20000',
    allowed_ips => [ $net->{cidr}, $net->{cidr6} ], keepalive => 25 },
    'the gateway at its public address, for the whole network';
is_deeply [ sort keys %$json ], [qw(gateway network peer peers private_key)], 'and nothing sealed';

# X25519: the private key's public half is the peer's
my $der = pack('H*', '302e020100300506032b656e04220420') . decode_base64($json->{private_key});
open my $fh, '>', $s->dir . '/key.der' or die $!;
print {$fh} $der;
close $fh;
my $public = `openssl pkey -inform DER -in @{[ $s->dir ]}/key.der -pubout -outform DER`;
is encode_base64(substr($public, -32), ''), $peer->{public_key}, 'its public key is the peer\'s';

# ------------------------------------------------------------------------ file

my (undef, undef, $tx) = $w->call(@config);
my $file = $tx->res->body;
is $tx->res->headers->content_type, 'text/plain; charset=utf-8', 'a file by default';
is $tx->res->headers->cache_control, 'no-store', 'that nobody keeps';
is $tx->res->headers->vary, 'Accept', 'Vary';
my $text = <<"END";
[Interface]
PrivateKey = $json->{private_key}
Address = $peer->{ip_address}/32, $peer->{ip6_address}/128

[Peer]
PublicKey = $nas->{public_key}
Endpoint = 203.0.113.4:20000
AllowedIPs = $net->{cidr}, $net->{cidr6}
PersistentKeepalive = 25
END
is $file =~ s/^#.*\n|\A\n+//mgr =~ s/\A\n+//r, $text, 'with all that wg-quick needs';
$w->must(200, 'networks_update', as => 'owner', @network, body => { settings => { mtu => 1280 } });
(undef, undef, $tx) = $w->call(@config);
like $tx->res->body, qr/^MTU = 1280$/m, 'and the network\'s MTU';
$w->must(200, 'networks_update', as => 'owner', @network, body => { settings => {} });

# --------------------------------------------------------------------- QR code

(undef, undef, $tx) = $w->call(@config, headers => { Accept => 'image/svg+xml' });
is $tx->res->headers->content_type, 'image/svg+xml', 'a QR code';
my $svg = Mojo::DOM->new->xml(1)->parse($tx->res->body);
my ($size) = $svg->at('svg')->attr('viewBox') =~ /^0 0 (\d+) \1$/;
my @dark;
for my $run (split /z/, $svg->at('path')->attr('d')) {
    my ($x, $y, $n) = $run =~ /^M(\d+) (\d+)h(\d+)v1h-\3$/ or die "odd: $run";
    $dark[ $y - 4 ][$_] = 1 for $x - 4 .. $x - 4 + $n - 1;
}
my $drawn = join '', map { my $y = $_; join('', map { $dark[$y][$_] ? '##' : '  ' } 0 .. $size - 9) . "\n" }
    0 .. $size - 9;
open $fh, '>', $s->dir . '/qr.txt' or die $!;
print {$fh} $text;
close $fh;
is $drawn, scalar `qrencode -8 -l M -m 0 -t ASCII -r @{[ $s->dir ]}/qr.txt`, 'that spells the file';
for my $accept ('image/svg+xml, text/html', '*/*', 'text/plain, image/svg+xml') {
    (undef, undef, $tx) = $w->call(@config, headers => { Accept => $accept });
    is $tx->res->headers->content_type, 'text/plain; charset=utf-8', "Accept: $accept gives the file";
}
(undef, undef, $tx) = $w->call(@config, headers => { Accept => 'image/avif,image/svg+xml,*/*;q=0.8' });
is $tx->res->headers->content_type, 'image/svg+xml', 'a picture for who asks for one';
$w->is(409, 'has_agent', 'none for a device with an agent', 'peers_config', as => 'member',
    path => [ $home->{peer} ], headers => { Accept => 'image/svg+xml' });
$w->is(403, 'forbidden', 'nobody else gets it', 'peers_config', as => 'owner', path => [ $peer->{id} ]);
$w->is(404, 'not_found', 'strangers know of nothing', 'peers_config', as => 'outsider',
    path => [ $peer->{id} ]);

# --------------------------------------------------------------------- at rest

my $stored = $s->sql("SELECT encode(private_key_encrypted, 'hex') FROM goconnect.peers "
    . "WHERE id = '$peer->{id}'");
my $raw = unpack 'H*', decode_base64($json->{private_key});
unlike $stored, qr/\Q$raw\E/, 'the database does not have the key';
is $s->sql("SELECT count(*) FROM goconnect.events WHERE payload::text LIKE '%$json->{private_key}%' "
    . 'OR payload::text LIKE \'%"sealed"%\''), 0, 'nor do the events';

# what was moved to another row, or changed, does not open
my $other = $w->must(201, 'devices_create', as => 'member', body => { %phone, name => 'Two' })->{device};
my $second = $w->must(201, 'peers_create', as => 'member', @network, body => { device_id => $other->{id} });
is $second->{via}, $nas->{id}, 'a second phone goes by the gateway at once';
my @second = ('peers_config', as => 'member', path => [ $second->{id} ], quiet => 1);
is +($w->call(@second))[0], 200, 'and has a configuration';
my $own = $s->sql("SELECT encode(private_key_encrypted, 'hex') FROM goconnect.peers WHERE id = '$second->{id}'");
$s->allow(qr/does not open: it was changed, or moved from another row/,
    qr/does not open: its seal key is not in goconnect_keys/, qr/does not open: it is malformed/);
for my $case ([ moved => $stored ], [ changed => substr($own, 0, -2) . (substr($own, -2) eq '00' ? '01' : '00') ],
    [ cut => substr($own, 0, 40) ], [ 'of an unknown key' => '0103' . unpack('H*', 'old') . substr($own, 2 + 2 * (1 + hex substr $own, 2, 2)) ]) {
    my ($what, $hex) = @$case;
    $s->sql("UPDATE goconnect.peers SET private_key_encrypted = decode('$hex', 'hex') WHERE id = '$second->{id}'");
    my ($got, $said) = $w->call(@second);
    is $got, 500, "$what: refused";
    unlike $said->{detail} // '', qr/key/, '... without telling why';
}
$s->sql("UPDATE goconnect.peers SET private_key_encrypted = decode('$own', 'hex') WHERE id = '$second->{id}'");

# a new seal key: old ones open as long as theirs is kept, new ones use it
open $fh, '<', $s->dir . '/keys' or die $!;
my @ring = <$fh>;
close $fh;
my ($seal) = grep { $ring[$_] =~ /^seal / } 0 .. $#ring;
splice @ring, $seal, 0, 'seal fresh ' . encode_base64(join('', map { chr int rand 256 } 1 .. 32), '') . "\n";
open $fh, '>', $s->dir . '/keys' or die $!;
print {$fh} @ring;
close $fh;
$ws->close;
$s->reload;
$ws = $s->ws(token => $w->{device}{admin}{token});
$ws->expect('hello');
$end = time + 30;
do { ($status) = $w->call(@second) } until $status == 200 || time > $end;
is $status, 200, 'after a rotation of the seal key it still opens';
my $third = $w->must(201, 'devices_create', as => 'owner', body => { %phone, name => 'Three' })->{device};
$third = $w->must(201, 'peers_create', as => 'owner', @network, body => { device_id => $third->{id} });
is $s->sql("SELECT substr(convert_from(substr(private_key_encrypted, 3, 5), 'UTF8'), 1) FROM goconnect.peers "
    . "WHERE id = '$third->{id}'"), 'fresh', 'and what is new is sealed by the new one';
is +($w->call('peers_config', as => 'owner', path => [ $third->{id} ]))[0], 200, '... and opens';

# ---------------------------------------------------------- two offers at once

my $desk = $w->must(201, 'peers_create', as => 'owner device', @network,
    body => { public_key => $s->wg_key, name => 'desk' });
my %auth = map { ($_ => { Authorization => 'Bearer ' . $w->token("$_ device") }) } qw(admin owner);
for my $round (1 .. 5) {
    my %answer;
    Mojo::Promise->all(map {
        my ($who, $peer) = @$_;
        $s->ua->patch_p($s->url . "/v1/peers/$peer->{id}" => $auth{$who} =>
            json => { gateway_offered => true })->then(sub { $answer{$who} = $_[0]->res });
    } [ admin => $nas ], [ owner => $desk ])->wait;
    is join(' ', map { $answer{$_}->code } qw(admin owner)), '200 200', 'two offers at once are taken';
    my $items = $w->must(200, 'peers_list', as => 'member', @network)->{items};
    my @gateway = grep { $_->{gateway} } @$items;
    is scalar(@gateway), 1, '... and there is one gateway';
    is join(' ', map { $_->{via} } grep { !$_->{agent} } @$items), join(' ', ($gateway[0]{id}) x 3),
        '... by which all phones go';
    $w->must(200, 'peers_update', as => 'owner', path => [ $gateway[0]{id} ], body => { gateway => false });
}
$w->must(200, 'peers_update', as => 'owner device', path => [ $desk->{id} ],
    body => { gateway_offered => false });
$w->must(200, 'peers_update', as => 'admin', @nas, body => { gateway => true });

# --------------------------------------------------------- the gateway's end

$w->must(200, 'peers_update', as => 'admin', @nas, body => { gateway => false });
like $w->is(409, 'no_gateway', 'the gateway is sent away', @config)->{detail}, qr/offers itself/,
    'though it offers';
$w->must(200, 'peers_update', as => 'owner', path => [ $home->{peer} ], body => { gateway => true });
is_deeply [ map { $_->{via} } grep { !$_->{agent} } @{ $w->must(200, 'peers_list', as => 'member', @network)->{items} } ],
    [ ($home->{peer}) x 3 ], 'another one is approved: all go by it';
$w->is(204, undef, 'its peer goes', 'peers_delete', as => 'member', path => [ $home->{peer} ]);
is_deeply [ map { $_->{via} } grep { !$_->{agent} } @{ $w->must(200, 'peers_list', as => 'member', @network)->{items} } ],
    [ (undef) x 3 ], 'and nobody stands in for them';
$w->is(409, 'no_gateway', 'nor is there a configuration', @config);
$w->is(204, undef, 'a phone is removed', 'devices_delete', as => 'member', path => [ $phone->{id} ]);
$w->is(404, 'not_found', 'with its peer', @config);

$ws->close;
$s->stop;
done_testing;

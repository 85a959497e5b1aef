# Bad input: each a clear answer by the rules, no crash, and nothing in the log
# above info (the server's stop checks that).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Routes;
use GoConnect::Server;
use GoConnect::World;
use IO::Socket::INET;
use Mojo::JSON qw(encode_json);
use Test::More;

my $s = GoConnect::Server->start(workers => 2);
my $w = GoConnect::World->new($s);
my $home = $w->{home};

# -------------------------------------------------------------------- bodies

my %body = (
    'no JSON'              => [ 'hello', 400, 'malformed_json' ],
    'half an object'       => [ '{"name":', 400, 'malformed_json' ],
    'two values'           => [ '{"name":"a"}{}', 400, 'malformed_json' ],
    'a comment'            => [ '{"name":"a"} // x', 400, 'malformed_json' ],
    'a trailing comma'     => [ '{"name":"a",}', 400, 'malformed_json' ],
    'single quotes'        => [ "{'name':'a'}", 400, 'malformed_json' ],
    'NaN'                  => [ '{"name":NaN}', 400, 'malformed_json' ],
    'a byte order mark'    => [ "\xef\xbb\xbf{\"name\":\"a\"}", 400, 'malformed_json' ],
    'a raw control'        => [ "{\"name\":\"a\nb\"}", 400, 'malformed_json' ],
    'white space only'     => [ "  \n", 400, 'malformed_json' ],
    'a lone surrogate'     => [ '{"name":"\ud800"}', 400, 'malformed_json' ],
    'a member twice'       => [ '{"name":"a","name":"b"}', 400, 'duplicate_member' ],
    'a deep member twice'  => [ '{"name":"a","settings":{"a":1,"a":2}}', 400, 'duplicate_member' ],
    'an escaped NUL'       => [ '{"name":"a\u0000b"}', 400, 'nul_character' ],
    'NUL in a name'        => [ '{"a\u0000b":1}', 400, 'nul_character' ],
    'a raw NUL'            => [ "{\"name\":\"a\0b\"}", 400, qr/./ ],
    'Latin-1'              => [ "{\"name\":\"\xe4\"}", 400, 'invalid_utf8' ],
    'an overlong slash'    => [ "{\"name\":\"\xc0\xaf\"}", 400, 'invalid_utf8' ],
    'a CESU surrogate'     => [ "{\"name\":\"\xed\xa0\x80\"}", 400, 'invalid_utf8' ],
    'beyond Unicode'       => [ "{\"name\":\"\xf4\x90\x80\x80\"}", 400, 'invalid_utf8' ],
    'beyond int64'         => [ '{"name":9223372036854775808}', 400, 'number_out_of_range' ],
    'below int64'          => [ '{"name":-9223372036854775809}', 400, 'number_out_of_range' ],
    'beyond a double'      => [ '{"name":1e999}', 400, 'number_out_of_range' ],
    'too deep'             => [ '{"settings":' . '[' x 20 . ']' x 20 . '}', 400, 'too_deep' ],
    'endlessly deep'       => [ '[' x 60_000, 400, 'too_deep' ],
    'too deep, in a string' => [ '{"name":"' . '[' x 60 . '"}', 201, undef ],
    'an array'             => [ '[]', 422, 'invalid_fields' ],
    'a string'             => [ '"name"', 422, 'invalid_fields' ],
    'null'                 => [ 'null', 422, 'invalid_fields' ],
    'nothing'              => [ '', 422, 'invalid_fields' ],
    'an empty object'      => [ '{}', 422, 'invalid_fields' ],
    'too long'             => [ '{"name":"' . 'a' x 70_000 . '"}', 413, 'body_too_large' ],
    'one byte too long'    => [ '{"name":"a"' . ' ' x (65_536 - 11) . '}', 413, 'body_too_large' ],
    'as long as may be'    => [ '{"name":"a"' . ' ' x (65_536 - 12) . '}', 201, undef ],
);

for my $name (sort keys %body) {
    my ($text, $status, $code) = @{ $body{$name} };
    my ($got, $json, $tx) = $w->call('tenants_create', as => 'owner', body => $text);
    is $got, $status, "body: $name" or diag $tx->res->body;
    ref $code ? like($json->{code}, $code, "body: $name: code")
              : is($json->{code}, $code, "body: $name: code");
}

# --------------------------------------------------------------- media types

for my $type ('text/plain', 'application/x-www-form-urlencoded', 'application/jsonp',
    'multipart/form-data; boundary=x', 'application/problem+json', '')
{
    $w->is(415, 'unsupported_media_type', "type '$type'", 'tenants_create', as => 'owner',
        body => '{"name":"a"}', headers => { 'Content-Type' => $type });
}
for my $type ('application/json', 'application/json; charset=utf-8', 'Application/JSON') {
    $w->is(201, undef, "type '$type'", 'tenants_create', as => 'owner',
        body => '{"name":"a"}', headers => { 'Content-Type' => $type });
}

# -------------------------------------------------------------------- fields

# route, path, body, field, code (undef: none), or else status and code
my $ID = '00000000-0000-4000-8000-000000000000';
my $KEY = $s->wg_key;
my @field = (
    [ 'tenants_create', [], { name => 1 }, 'name', 'invalid_type' ],
    [ 'tenants_create', [], { name => undef }, 'name', 'invalid_type' ],
    [ 'tenants_create', [], { name => {} }, 'name', 'invalid_type' ],
    [ 'tenants_create', [], { name => '' }, 'name', 'too_short' ],
    [ 'tenants_create', [], { name => "\x{2003}" x 65 }, 'name', 'too_long' ],
    [ 'tenants_create', [], { name => 'x' x 65 }, 'name', 'too_long' ],
    [ 'tenants_create', [], { name => ' a' }, 'name', 'outer_space' ],
    [ 'tenants_create', [], { name => "a\tb" }, 'name', 'control_character' ],
    [ 'tenants_create', [], { name => "a\x{85}b" }, 'name', 'control_character' ],
    [ 'tenants_create', [], { name => 'a', slug => 'A' }, 'slug', 'invalid_format' ],
    [ 'tenants_create', [], { name => 'a', slug => '-a' }, 'slug', 'invalid_format' ],
    [ 'tenants_create', [], { name => 'a', slug => 'a-' }, 'slug', 'invalid_format' ],
    [ 'tenants_create', [], { name => 'a', slug => 'a_b' }, 'slug', 'invalid_format' ],
    [ 'tenants_create', [], { name => 'a', slug => 'a' x 64 }, 'slug', 'too_long' ],
    [ 'tenants_create', [], { name => 'a', visibility => 'hidden' }, 'visibility', 'invalid_choice' ],
    [ 'tenants_create', [], { name => 'a', visibility => '' }, 'visibility', 'invalid_choice' ],
    [ 'tenants_create', [], { name => 'a', visibility => 'public|private' }, 'visibility',
        'invalid_choice' ],
    [ 'tenants_create', [], { name => 'a', access => 'closed' }, 'access', 'invalid_choice' ],
    [ 'tenants_create', [], { name => 'a', access => 'password' }, 'password', 'required' ],
    [ 'tenants_create', [], { name => 'a', password => 'long enough' }, 'password', 'invalid' ],
    [ 'tenants_create', [], { name => 'a', access => 'password', password => 'short' }, 'password',
        'too_short' ],
    [ 'tenants_create', [], { name => 'a', access => 'password', password => 'x' x 73 }, 'password',
        'too_long' ],
    [ 'tenants_create', [], { name => 'a', access => 'password', password => undef }, 'password',
        'invalid_type' ],
    [ 'tenants_create', [], { name => 'a', password_hash => 'x' }, 'password_hash', 'unknown_field' ],
    [ 'tenants_join', [ $home->{tenant} ], { password => [] }, 'password', 'invalid_type' ],
    [ 'tenants_join', [ $home->{tenant} ], { given => \1, verified => \1 }, 'verified',
        'unknown_field' ],
    [ 'tenants_transfer', [ $home->{tenant} ], {}, 'user_id', 'required' ],
    [ 'tenants_transfer', [ $home->{tenant} ], { user_id => "x'; --" }, 'user_id', 'invalid_format' ],
    [ 'members_update', [ $home->{tenant}, $w->{user}{member}{id} ], { role => undef }, 'role',
        'invalid_type' ],
    [ 'members_update', [ $home->{tenant}, $w->{user}{member}{id} ], { role => 'Admin' }, 'role',
        'invalid_choice' ],
    [ 'users_update', [], { username => "a\x{0}b" }, 'username', undef, '400 nul_character' ],
    [ 'users_update', [], { username => 'ab' }, 'username', 'too_short' ],
    [ 'users_update', [], { username => '.ab' }, 'username', 'invalid_format' ],
    [ 'users_update', [], { email => 'a@b@c' }, 'email', 'invalid_format' ],
    [ 'users_update', [], { settings => { theme => 'pink' } }, 'settings', 'invalid' ],
    [ 'users_update', [], { settings => { language => 'de', extra => 1 } }, 'settings', 'invalid' ],
    [ 'auth_password', [], { password => 'x', new_password => 'too short' }, 'new_password', 'too_short' ],
    [ 'auth_password', [], { password => 'x', new_password => 'long enough', devices => 'no' }, 'devices',
        'invalid_type' ],
    [ 'auth_password', [], { password => 'x', new_password => 'long enough', verified => \1 }, 'verified',
        'unknown_field' ],
    [ 'auth_reset', [], { token => '', password => 'long enough' }, 'token', 'too_short' ],
    [ 'auth_reset', [], { token => 'x' x 257, password => 'long enough' }, 'token', 'too_long' ],
    [ 'auth_reset', [], { token_hash => 'x', token => 'x', password => 'long enough' }, 'token_hash',
        'unknown_field' ],
    [ 'tenants_create', [], { name => 'a', settings => [] }, 'settings', 'invalid_type' ],
    [ 'tenants_create', [], { name => 'a', settings => { no_such => 1 } }, 'settings', 'invalid' ],
    [ 'tenants_create', [], { name => 'a', settings => { x => 'y' x 9000 } }, 'settings',
        'too_long' ],
    [ 'tenants_create', [], { name => 'a', description => 'x' x 1001 }, 'description', 'too_long' ],
    [ 'tenants_create', [], { name => 'a', owner => 1 }, 'owner', 'unknown_field' ],
    [ 'tenants_create', [], { name => 'a', Name => 1 }, 'Name', 'unknown_field' ],
    [ 'tenants_create', [], { name => 'a', '' => 1 }, '', 'unknown_field' ],
    (map { [ 'networks_create', [ $home->{tenant} ], { name => 'a', cidr => $_->[0] }, 'cidr', $_->[1] ] }
        [ '10.0.0.1/24', 'host_bits' ], [ '8.8.8.0/24', 'not_private' ],
        [ '172.32.0.0/16', 'not_private' ], [ '127.0.0.0/8', 'not_private' ],
        [ '169.254.0.0/16', 'not_private' ], [ '224.0.0.0/8', 'not_private' ],
        [ '10.0.0.0/30', 'invalid_prefix' ], [ '10.0.0.0/7', 'invalid_prefix' ],
        [ '0.0.0.0/0', 'invalid_prefix' ], [ '10.0.0.0', 'invalid_format' ],
        [ '10.0.0.0/', 'invalid_format' ], [ '10.0.0.0/33', 'invalid_format' ],
        [ '010.0.0.0/8', 'invalid_format' ], [ 'fd00::/64', 'invalid_format' ],
        [ "10.0.0.0/24'; --", 'invalid_format' ], [ '', 'invalid_format' ],
        [ 10, 'invalid_type' ]),
    [ 'networks_create', [ $home->{tenant} ], { name => 'a', join_policy => 'closed' },
        'join_policy', 'invalid_choice' ],
    [ 'networks_create', [ $home->{tenant} ], { name => 'a', mode => 'l4' }, 'mode',
        'invalid_choice' ],
    [ 'networks_create', [ $home->{tenant} ], { name => 'a', settings => { mtu => 100 } },
        'settings', 'invalid' ],
    [ 'members_add', [ $home->{tenant} ], { user_id => 'x' }, 'user_id', 'invalid_format' ],
    [ 'members_add', [ $home->{tenant} ], { user_id => uc 'abcdef00-0000-4000-8000-000000000000' },
        'user_id', 'invalid_format' ],
    [ 'members_add', [ $home->{tenant} ], { user_id => $ID }, 'user_id', 'unknown' ],
    [ 'members_add', [ $home->{tenant} ], { username => 'nobody-here' }, 'username', 'unknown' ],
    [ 'members_add', [ $home->{tenant} ], { username => 'outsider-x', role => 'king' }, 'role',
        'invalid_choice' ],
    [ 'invites_create', [ $home->{tenant} ], { max_uses => 0 }, 'max_uses', 'out_of_range' ],
    [ 'invites_create', [ $home->{tenant} ], { max_uses => 1.5 }, 'max_uses', 'invalid_type' ],
    [ 'invites_create', [ $home->{tenant} ], { max_uses => '1' }, 'max_uses', 'invalid_type' ],
    [ 'invites_create', [ $home->{tenant} ], { expires_in => -1 }, 'expires_in', 'out_of_range' ],
    [ 'invites_create', [ $home->{tenant} ], { network_id => 'x' }, 'network_id',
        'invalid_format' ],
    (map { [ 'devices_create', [], { name => 'a', platform => 'linux', public_key => $_->[0] },
        'public_key', $_->[1] ] }
        [ 'A' x 43 . '=', 'invalid_key' ], [ substr($KEY, 1), 'invalid_key' ],
        [ "$KEY=", 'invalid_key' ], [ $KEY =~ s/=/A/r, 'invalid_key' ],
        [ '-' . substr($KEY, 1), 'invalid_key' ], [ '', 'invalid_key' ], [ 1, 'invalid_type' ]),
    [ 'devices_create', [], { name => 'a', platform => 'amiga', public_key => $KEY }, 'platform',
        'invalid_choice' ],
    (map { [ 'peers_create', [ $home->{network} ],
        { device_id => $w->{device}{owner}{id}, public_key => $KEY, endpoints => $_->[0] },
        'endpoints', $_->[1] ] }
        [ 'x', 'invalid_type' ], [ ['1.2.3.4'], 'invalid_endpoint' ],
        [ ['1.2.3.4:0'], 'invalid_endpoint' ], [ ['1.2.3.4:65536'], 'invalid_endpoint' ],
        [ ['host.example:1'], 'invalid_endpoint' ], [ [1], 'invalid_endpoint' ],
        [ ['[fe80::1%eth0]:1'], 'invalid_endpoint' ], [ ['1.2.3.4:1', '[2001:db8::1]:65535'], undef ],
        [ [ map { "1.2.3.4:$_" } 1 .. 9 ], 'too_long' ]),
    [ 'peers_create', [ $home->{network} ], { device_id => $w->{device}{owner}{id},
        public_key => $KEY, name => 'Not a label' }, 'name', 'invalid_format' ],
    [ 'peers_create', [ $home->{network} ], { public_key => 'A' x 43 . '=' }, 'public_key',
        'invalid_key' ],
    [ 'tenant_messages_create', [ $home->{tenant} ], { content => '' }, 'content', 'too_short' ],
    [ 'tenant_messages_create', [ $home->{tenant} ], { content => " \n" }, 'content', 'blank' ],
    [ 'tenant_messages_create', [ $home->{tenant} ], { content => "\x{1F600}" x 4001 }, 'content',
        'too_long' ],
    [ 'tenant_messages_create', [ $home->{tenant} ], { content => "\x{1F600}" x 4000 }, 'content',
        undef ],
    [ 'networks_join', [ $home->{network} ], { code => 'not a code' }, 'code', 'invalid_format' ],
    [ 'networks_join', [ $home->{network} ], { code => 1 }, 'code', 'invalid_type' ],
);

for my $case (@field) {
    my ($route, $path, $body, $field, $code, $other) = @$case;
    my ($status, $json, $tx) = $w->call($route, as => 'owner', path => $path, body => $body);
    my $what = "$route " . substr encode_json($body), 0, 60;
    if ($other) {
        is "$status $json->{code}", $other, $what;
        next;
    }
    if (!defined $code) {
        like $status, qr/^20[01]\z/, "$what: accepted" or diag $tx->res->body;
        next;
    }
    my %error = map { $_->{field} => $_->{code} } @{ $json->{errors} // [] };
    is $status, 422, $what or diag $tx->res->body;
    is $error{$field}, $code, "$what: $field is $code" or diag $tx->res->body;
}

my $json = $w->is(422, 'unknown_field', 'only an unknown field', 'tenants_create', as => 'owner',
    body => { name => 'a', foo => 1 });
is scalar @{ $json->{errors} }, 1, 'one error for one field';
$json = $w->is(422, 'invalid_fields', 'all errors at once', 'devices_create', as => 'owner',
    body => { name => '', platform => 'x', public_key => 'y', z => 1 });
is join(' ', map { $_->{field} } @{ $json->{errors} }), 'name platform public_key z',
    'each wrong field is named';
$json = $w->is(422, undef, 'very many unknown fields', 'tenants_create', as => 'owner',
    body => { map { ("f$_" => 1) } 1 .. 3000 });
cmp_ok scalar @{ $json->{errors} }, '<=', 20, 'the list of errors is bounded';

# ------------------------------------------------------------- registration

for my $case (
    [ { password => 'x' x 10 }, 'username', 'required' ],
    [ { username => 'ab', password => 'x' x 10 }, 'username', 'too_short' ],
    [ { username => 'a' x 33, password => 'x' x 10 }, 'username', 'too_long' ],
    [ { username => '_ab', password => 'x' x 10 }, 'username', 'invalid_format' ],
    [ { username => 'a b', password => 'x' x 10 }, 'username', 'invalid_format' ],
    [ { username => "j\x{f6}rg", password => 'x' x 10 }, 'username', 'invalid_format' ],
    [ { username => 'abc' }, 'password', 'required' ],
    [ { username => 'abc', password => 'x' x 9 }, 'password', 'too_short' ],
    [ { username => 'abc', password => 'x' x 73 }, 'password', 'too_long' ],
    [ { username => 'abc', password => "\x{e4}" x 37 }, 'password', 'too_long' ],
    [ { username => 'abc', password => 1234567890 }, 'password', 'invalid_type' ],
    [ { username => 'abc', password => 'x' x 10, email => 'x' }, 'email', 'invalid_format' ],
    [ { username => 'abc', password => 'x' x 10, email => 'a@b@c' }, 'email', 'invalid_format' ],
    [ { username => 'abc', password => 'x' x 10, email => 'a b@c' }, 'email', 'invalid_format' ],
    [ { username => 'abc', password => 'x' x 10, password_hash => 'x' }, 'password_hash',
        'unknown_field' ],
    [ { username => 'abc', password => 'x' x 10, refresh_hash => 'x' }, 'refresh_hash',
        'unknown_field' ],
) {
    my ($body, $field, $code) = @$case;
    my $answer = $w->is(422, undef, "register: $field $code", 'auth_register', body => $body);
    my %error = map { $_->{field} => $_->{code} } @{ $answer->{errors} // [] };
    is $error{$field}, $code, "register: $field is $code";
}
unlike join(' ', map { $w->call('auth_register', body => { username => 'abc', password => $_ });
    $s->log } 'sesame'), qr/sesame/, 'passwords are not logged';

# --------------------------------------------------------------------- query

for my $case ([ 'limit', 0, 'out_of_range' ], [ 'limit', 101, 'out_of_range' ],
    [ 'limit', 'x', 'invalid_type' ], [ 'limit', '1e2', 'invalid_type' ],
    [ 'limit', '-1', 'invalid_type' ], [ 'limit', '99999999999999999999', 'invalid_type' ],
    [ 'cursor', 'nonsense', 'invalid' ], [ 'cursor', 'x' x 300, 'too_long' ],
    [ 'scope', 'all', 'invalid_choice' ], [ 'q', 'x' x 65, 'too_long' ],
    [ 'q', "a\nb", 'control_character' ])
{
    my ($field, $value, $code) = @$case;
    my $answer = $w->is(422, undef, "?$field=$value", 'tenants_list', as => 'owner',
        query => { $field => $value });
    my ($error) = grep { $_->{field} eq $field } @{ $answer->{errors} };
    is $error->{code}, $code, "?$field=$value: $code";
}
for my $raw ('q=%ff', 'q=%00', 'q=a%00b', 'q=%ed%a0%80', 'q=%') {
    my ($status, $answer) = $s->api(GET => "/v1/tenants?$raw", undef,
        token => $w->token('owner'));
    is $status, 422, "?$raw";
}
for my $raw ('q=%zz', 'q=100%25', 'q=_%25\\', 'unknown=1', 'q=', 'limit=', '&&&', '=',
    "q=a'b", 'limit=5&limit=7', 'xlimit=0')
{
    my ($status, $answer) = $s->api(GET => "/v1/tenants?$raw", undef,
        token => $w->token('owner'));
    is $status, 200, "?$raw";
}

# ------------------------------------------------------------------- the path

for my $path ('/v1', '/v1/', '/v1/tenants/', '/v1//tenants/x', '/v1/tenants/x',
    "/v1/tenants/$ID/", "/v1/tenants/$ID/nothing", '/v1/tenants/' . uc($home->{tenant}),
    "/v1/tenants/$home->{tenant}%20", '/v1/invites/' . 'a' x 33, '/v1/invites/a_b',
    '/v1/tenants/%2e%2e', '/v2/tenants')
{
    my ($status, $answer, $tx) = $s->api(GET => $path, undef, token => $w->token('owner'));
    is $status, 404, "GET $path";
}

for my $route (GoConnect::Routes::all()) {
    my $path = $route->{path} =~ s/\{\w+:uuid\}/$ID/gr =~ s/\{\w+:code\}/ABCDEFGHJK/gr;
    my @same = grep { $_->{path} =~ s/\{[^}]+\}/{}/gr eq $route->{path} =~ s/\{[^}]+\}/{}/gr
        && join(' ', map { $_->{type} } @{ $_->{params} })
        eq join(' ', map { $_->{type} } @{ $route->{params} }) } GoConnect::Routes::all();
    my %allow = map { $_ => 1 } 'OPTIONS', map { ($_->{method}, $_->{method} eq 'GET' ? 'HEAD' : ()) } @same;
    my ($status, $answer, $tx) = $s->api(OPTIONS => $path);
    is $status, 204, "OPTIONS $path";
    my %said = map { $_ => 1 } split /, /, $tx->res->headers->header('Allow') // '';
    # an id also has the form of a code
    my @missing = grep { !$said{$_} } keys %allow;
    is "@missing", '', "OPTIONS $path: all methods are told";
    for my $method (qw(GET POST PUT PATCH DELETE TRACE BREW)) {
        next if $said{$method};
        ($status, $answer, $tx) = $s->api($method => $path);
        is $status, 405, "$method $path";
        is $tx->res->headers->header('Allow') // '', join(', ', grep { $said{$_} }
            qw(GET HEAD POST PUT PATCH DELETE OPTIONS)), "$method $path: Allow"
            if $method ne 'TRACE';
    }
}

# --------------------------------------------------------------- bytes, slowly

# Sends bytes and returns the whole answer of a connection that is to be closed.
sub raw {
    my (@part) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->{port})
        or die "connect: $!";
    for my $part (@part) {
        print {$socket} $part;
        $socket->flush;
        select undef, undef, undef, 0.002 if @part > 1;
    }
    local $SIG{ALRM} = sub { die "no answer\n" };
    alarm 20;
    my $answer = do { local $/; <$socket> } // '';
    alarm 0;
    return $answer;
}

my $token = $w->token('owner');
my $head = "POST /v1/tenants HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    . "Authorization: Bearer $token\r\nContent-Type: application/json\r\n";
my $text = '{"name":"byte by byte"}';
like raw(split //, "${head}Content-Length: " . length($text) . "\r\n\r\n$text"),
    qr{^HTTP/1.1 201 }, 'a body that comes byte by byte';
like raw("${head}Transfer-Encoding: chunked\r\n\r\n",
    map({ sprintf("%x\r\n%s\r\n", length $_, $_) } $text =~ /.{1,5}/g), "0\r\n\r\n"),
    qr{^HTTP/1.1 201 }, 'a chunked body';
like raw("${head}Transfer-Encoding: chunked\r\n\r\n",
    (sprintf("%x\r\n%s\r\n", 8192, ' ' x 8192)) x 9, "0\r\n\r\n"),
    qr{^HTTP/1.1 413 .*"code":"body_too_large"}s, 'a chunked body that does not end';
like raw("${head}Content-Length: 100000000\r\nExpect: 100-continue\r\n\r\n"),
    qr{^HTTP/1.1 413 }, 'a large body is refused before it is sent';
like raw("${head}Content-Length: " . length($text) . "\r\nExpect: 100-continue\r\n\r\n", $text),
    qr{^HTTP/1.1 100 .*HTTP/1.1 201 }s, 'a small one is asked for';
# nginx itself logs this one
$s->allow(qr/client sent invalid chunked body/);
like raw("${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n"), qr{^HTTP/1.1 400 },
    'chunks that are none';
like raw("GET /v1/auth/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    . "Authorization: Basic eDp5\r\n\r\n"), qr{^HTTP/1.1 401 .*token_missing}s,
    'another scheme is no credential';
like raw("GET /v1/auth/me HTTP/1.0\r\nAuthorization: bearer $token\r\n\r\n"),
    qr{^HTTP/1.1 200 }, 'the scheme has no case';
like raw("GET /v1/info HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n"
    . "Connection: close\r\n\r\n"), qr{^HTTP/1.1 200 .*HTTP/1.1 200 .*"ok"}s, 'pipelined requests';
like raw("POST /v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world"
    . "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    qr{^HTTP/1.1 401 .*HTTP/1.1 200 .*"ok"}s, 'a refused body does not become the next request';

# headers

$w->is(400, 'invalid_idempotency_key', 'Idempotency-Key', 'tenants_create', as => 'owner',
    body => { name => 'a' }, headers => { 'Idempotency-Key' => 'x' });
$w->is(412, 'precondition_failed', "If-Match: $_", 'tenants_update', as => 'owner',
    path => [ $home->{tenant} ], body => {}, headers => { 'If-Match' => $_ })
    for '"x', 'W/"1"', '"0"', ',', '"' . 'x' x 400 . '"', "\xff", '")(', '\\"', '{NULL}';

is(($s->api(GET => '/healthz'))[0], 200, 'the server lives');
$s->stop;
done_testing;

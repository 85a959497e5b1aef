# Accounts and sessions.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use GoConnect::World;
use MIME::Base64 qw(decode_base64url);
use Mojo::JSON qw(decode_json);
use Test::More;

my $s = GoConnect::Server->start(workers => 2);
my $w = bless { s => $s, route => { GoConnect::Routes::by_name() }, user => {}, device => {} },
    'GoConnect::World';
my $password = $GoConnect::Server::PASSWORD;

# ------------------------------------------------------------------ register

my $ada = $w->must(201, 'auth_register',
    body => { username => 'Ada', password => $password, email => 'ada@example.org' });
is $ada->{user}{username}, 'Ada', 'the name as it was written';
is $ada->{user}{email}, 'ada@example.org', 'the e-mail';
is_deeply [ sort keys %{ $ada->{user} } ],
    [ sort qw(id username email settings server_admin created_at updated_at) ],
    'a user has the fields of the protocol';
is $ada->{expires_in}, 900, 'fifteen minutes';
like $ada->{refresh_token}, qr/^[A-Za-z0-9_-]{43}\z/, 'a refresh token';
my (undef, $claims) = map { decode_json(decode_base64url($_)) }
    (split /\./, $ada->{access_token})[ 0, 1 ];
is $claims->{sub}, $ada->{user}{id}, 'sub';
is $claims->{sid}, $ada->{session_id}, 'sid';
is $claims->{aud}, 'goconnect', 'aud';
is $claims->{exp} - $claims->{iat}, 900, 'exp';
ok !exists $claims->{dev}, 'no device';

$w->is(409, 'username_taken', 'a name is taken whatever its case', 'auth_register',
    body => { username => 'aDA', password => $password });
$w->is(201, undef, 'no e-mail is fine', 'auth_register',
    body => { username => 'bob', password => $password, email => undef });
unlike $s->sql("SELECT coalesce(string_agg(u::text, ' '), '') FROM goconnect.users u"),
    qr/\Q$password\E/, 'no password in the database';
is $s->sql("SELECT count(*) FROM goconnect.users WHERE password_hash LIKE '\$2b\$12\$%'"), 2,
    'bcrypt, cost 12';
unlike $s->sql("SELECT string_agg(r::text, ' ') FROM goconnect.refresh_tokens r"),
    qr/\Q$ada->{refresh_token}\E/, 'no refresh token in the database';

# --------------------------------------------------------------------- login

my $login = $w->must(200, 'auth_login', body => { username => 'ADA', password => $password });
isnt $login->{session_id}, $ada->{session_id}, 'a session of its own';
is $login->{user}{id}, $ada->{user}{id}, 'the same user';

my $wrong = $w->is(401, 'invalid_credentials', 'wrong password', 'auth_login',
    body => { username => 'ada', password => 'wrong horse battery' });
my $nobody = $w->is(401, 'invalid_credentials', 'no such user', 'auth_login',
    body => { username => 'nobody-here', password => $password });
is_deeply $nobody, $wrong, 'they cannot be told apart';
$w->is(401, 'invalid_credentials', 'a name that cannot be', 'auth_login',
    body => { username => "' OR 1=1 --", password => $password });
$w->is(401, 'invalid_credentials', "a password's case matters", 'auth_login',
    body => { username => 'ada', password => uc $password });

# ------------------------------------------------------------------------ me

my $me = $w->must(200, 'auth_me', token => $login->{access_token});
is $me->{user}{id}, $ada->{user}{id}, 'me';
is $me->{session}{id}, $login->{session_id}, 'my session';
is $me->{device}, undef, 'no device';
my (undef, undef, $tx) = $w->call('auth_me', token => $login->{access_token});
my $etag = $tx->res->headers->etag;
like $etag, qr/^"[^"]+"\z/, 'an ETag';
for my $match ($etag, "W/$etag", "\"x\", $etag", '*') {
    my ($status, undef, $tx304) = $w->call('auth_me', token => $login->{access_token},
        headers => { 'If-None-Match' => $match }, quiet => 1);
    is $status, 304, "If-None-Match: $match";
    is $tx304->res->body, '', 'without a body';
    is $tx304->res->headers->etag, $etag, 'with the ETag';
}
is(($w->call('auth_me', token => $login->{access_token},
    headers => { 'If-None-Match' => '"other"' }))[0], 200, 'another version is sent');
my ($status, undef, $head) = $s->api(HEAD => '/v1/auth/me', undef,
    token => $login->{access_token});
is $status, 200, 'HEAD';
is $head->res->body, '', 'HEAD has no body';
is $head->res->headers->content_length, length $tx->res->body, 'and the length of the GET';

# ------------------------------------------------------------------- refresh

my $first = $login->{refresh_token};
my $second = $w->must(200, 'auth_refresh', body => { refresh_token => $first });
isnt $second->{refresh_token}, $first, 'rotated';
$w->must(200, 'auth_me', token => $second->{access_token});
my $lost = $w->must(200, 'auth_refresh', body => { refresh_token => $first });
ok $lost->{refresh_token}, 'a lost answer does not log an honest client out';
my $third = $w->must(200, 'auth_refresh', body => { refresh_token => $lost->{refresh_token} });
$w->is(401, 'invalid_refresh_token', 'after its successor was used it is a copy', 'auth_refresh',
    body => { refresh_token => $first });
$w->is(401, 'invalid_refresh_token', 'and the family is gone', 'auth_refresh',
    body => { refresh_token => $third->{refresh_token} });
$w->is(401, 'session_revoked', 'the access token with it, at once', 'auth_me',
    token => $third->{access_token});
$w->must(200, 'auth_me', token => $ada->{access_token});
for my $token ('x', 'A' x 43, $ada->{access_token}, substr $ada->{refresh_token}, 1) {
    next if length $token > 256;
    $w->is(401, 'invalid_refresh_token', 'no refresh token of ours', 'auth_refresh',
        body => { refresh_token => $token });
}

# -------------------------------------------------------------------- logout

my $out = $w->must(200, 'auth_login', body => { username => 'ada', password => $password });
$w->is(204, undef, 'logout', 'auth_logout', token => $out->{access_token});
$w->is(401, 'session_revoked', 'the token is worth nothing', 'auth_me',
    token => $out->{access_token});
$w->is(401, 'session_revoked', 'nor can one log out twice', 'auth_logout',
    token => $out->{access_token});
$w->is(401, 'invalid_refresh_token', 'nor refresh', 'auth_refresh',
    body => { refresh_token => $out->{refresh_token} });

# -------------------------------------------------------------------- device

my $device = $w->must(201, 'devices_create', token => $ada->{access_token},
    body => { name => 'laptop', platform => 'linux', public_key => $s->wg_key });
my ($dev) = decode_json(decode_base64url((split /\./, $device->{access_token})[1]));
is $dev->{dev}, $device->{device}{id}, 'the token of a device names it';
$me = $w->must(200, 'auth_me', token => $device->{access_token});
is $me->{device}{id}, $device->{device}{id}, 'who am I: a device';
my $again = $w->must(200, 'auth_refresh', body => { refresh_token => $device->{refresh_token} });
$w->is(403, 'insufficient_scope', 'a refreshed token keeps its scope', 'tenants_list',
    token => $again->{access_token});
$me = $w->must(200, 'auth_me', token => $again->{access_token});
is $me->{device}{id}, $device->{device}{id}, 'and its device';
$w->must(204, 'devices_delete', token => $ada->{access_token}, path => [ $device->{device}{id} ]);
$w->is(401, 'session_revoked', 'a removed device is out at once', 'auth_me',
    token => $again->{access_token});
$w->is(401, 'invalid_refresh_token', 'for good', 'auth_refresh',
    body => { refresh_token => $again->{refresh_token} });

# ----------------------------------------------------------------- suspended

$s->sql("UPDATE goconnect.users SET suspended_at = now() WHERE username = 'bob'");
$w->is(403, 'suspended', 'a suspended user who knows his password is told', 'auth_login',
    body => { username => 'bob', password => $password });
$w->is(401, 'invalid_credentials', 'and one who does not is not', 'auth_login',
    body => { username => 'bob', password => 'wrong horse battery' });

# -------------------------------------------------------------------- ticket

my $ticket = $w->must([ 200, 201 ], 'ws_ticket_create', token => $ada->{access_token});
like $ticket->{ticket}, qr/^[A-Za-z0-9_-]{43}\z/, 'a ticket';
is $ticket->{expires_in}, 30, 'for half a minute';
$w->is(422, 'unknown_field', 'a ticket is not chosen', 'ws_ticket_create',
    token => $ada->{access_token}, body => { ticket_hash => 'x' });

unlike $s->log, qr/\Q$password\E|\Q$ada->{refresh_token}\E|\Q$ticket->{ticket}\E/,
    'no secret in the log';
$s->stop;
done_testing;

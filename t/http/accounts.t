# One's own account: name, password, a link for a new one, sessions.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use GoConnect::Server;
use GoConnect::World;
use Test::More;

my $s = GoConnect::Server->start(workers => 2);
my $w = GoConnect::World->new($s);
my $home = $w->{home};
my $id = $w->{user}{member}{id};
my $PASSWORD = $GoConnect::Server::PASSWORD;

sub watch {
    my ($token, @topic) = @_;
    my $ws = $s->ws(token => $token);
    $ws->expect('hello');
    $ws->ask(subscribe => { topics => [ map { { topic => $_, seq => undef } } @topic ] });
    return $ws;
}

subtest 'the account' => sub {
    my @me = ('users_update', as => 'member');
    my $other = watch($w->token('owner'), "tenant:$home->{tenant}", "network:$home->{network}");
    my $mine = watch($w->token('member'), "user:$id");
    my $etag = ($w->call('auth_me', as => 'member'))[2]->res->headers->etag;
    my ($user, $tx) = $w->is(200, undef, 'a new name', @me, headers => { 'If-Match' => $etag },
        body => { username => 'Grace', email => 'grace@example.org', settings => { theme => 'dark' } });
    is $user->{username}, 'Grace', '... is answered';
    is $tx->res->headers->etag, ($w->call('auth_me', as => 'member'))[2]->res->headers->etag,
        '... with the ETag of auth/me';
    is $mine->expect('user')->{data}{user}{email}, 'grace@example.org', '... told to oneself';
    is $other->expect('netmap_delta')->{data}{upsert}[0]{username}, 'Grace', '... to the map';
    is $other->expect('member')->{data}{member}{username}, 'Grace', '... and to the lists';
    $_->close for $other, $mine;
    $w->is(412, 'precondition_failed', 'an old version', @me, body => {},
        headers => { 'If-Match' => $etag });
    $w->is(409, 'username_taken', 'a name that is taken', @me, body => { username => 'OWNER-x' });
    $w->is(422, 'invalid_fields', 'no name', @me, body => { username => 'a b' });
    $w->is(422, 'invalid_fields', 'null is no name', @me, body => { username => undef });
    $w->is(422, 'invalid_fields', 'unknown settings', @me, body => { settings => { admin => 1 } });
    $w->is(422, 'unknown_field', 'what nobody may set', @me, body => { server_admin => \1 });
    is $w->must(200, @me, body => { email => undef })->{email}, undef, 'no address';
    is $s->login('grace')->{id}, $id, 'one logs in by the new name';
    is(($s->api(POST => '/v1/auth/login', { username => 'member-x', password => $PASSWORD }))[0],
        401, '... and no more by the old one');
};

subtest 'the password' => sub {
    my $second = $s->login('grace');
    my $socket = watch($second->{token}, "user:$id");
    my $device = watch($w->token('member device'), "device:$home->{device}");
    my @change = ('auth_password', as => 'member');
    $w->is(403, 'wrong_password', 'a wrong one', @change,
        body => { password => 'not this one', new_password => 'entirely new' });
    $w->is(422, 'invalid_fields', 'a short one', @change,
        body => { password => $PASSWORD, new_password => 'short' });
    $w->is(422, 'invalid_fields', 'one only', @change, body => { password => $PASSWORD });
    $w->is(204, undef, 'the right one', @change,
        body => { password => $PASSWORD, new_password => 'entirely new', devices => \0 });
    is $socket->expect('revoked')->{data}{reason}, 'password_changed', 'another session hears it';
    is $socket->closed, 4003, '... and is closed';
    is(($s->api(GET => '/v1/auth/me', undef, token => $second->{token}))[1]{code},
        'session_revoked', '... its token is dead');
    is(($s->api(POST => '/v1/auth/refresh', { refresh_token => $second->{refresh} }))[0], 401,
        '... and cannot be renewed');
    $w->is(200, undef, 'this one stays', 'auth_me', as => 'member');
    $w->is(200, undef, 'so does the device', 'auth_me', as => 'member device');
    is(($s->api(POST => '/v1/auth/login', { username => 'grace', password => $PASSWORD }))[0], 401,
        'the old password is none');
    my $observer = watch($w->token('owner'), "network:$home->{network}");
    $w->is(204, undef, 'and with the devices', @change,
        body => { password => 'entirely new', new_password => $PASSWORD });
    is $device->closed, 4003, '... their sockets end';
    is_deeply $observer->expect('netmap_delta')->{data}{remove}, [ $home->{peer} ],
        '... and their peers';
    $observer->close;
    $w->is(401, 'session_revoked', '... and their sessions', 'auth_me', as => 'member device');
    $s->sql("UPDATE goconnect.users SET failed_logins = 19 WHERE id = '$id'");
    $w->is(403, 'wrong_password', 'the twentieth wrong one', @change,
        body => { password => 'not this one', new_password => 'entirely new' });
    $w->is(429, 'too_many_attempts', '... is the last for a minute', @change,
        body => { password => $PASSWORD, new_password => 'entirely new' });
    $s->sql("UPDATE goconnect.users SET failed_logins = 0, locked_until = NULL WHERE id = '$id'");
    unlike $s->log, qr/entirely new/, 'no password is in the log';
};

subtest 'a link for a new password' => sub {
    my $token = 'a-link-that-was-made-by-hand';
    $s->sql("INSERT INTO goconnect.reset_links (hash, user_id, expires_at) VALUES "
        . "('\\x" . sha256_hex($token) . "', '$id', now() + interval '1 hour')");
    $w->is(403, 'invalid_reset_token', 'another', 'auth_reset',
        body => { token => "$token-", password => 'entirely new' });
    $w->is(422, 'invalid_fields', 'a short password', 'auth_reset',
        body => { token => $token, password => 'short' });
    $w->is(204, undef, 'this one', 'auth_reset', body => { token => $token, password => 'entirely new' });
    $w->is(401, 'session_revoked', '... ends the sessions', 'auth_me', as => 'member');
    $w->is(403, 'invalid_reset_token', '... and is good once', 'auth_reset',
        body => { token => $token, password => 'something else' });
    $w->{user}{member} = { %{ $w->{user}{member} }, %{ $s->login('grace', 'entirely new') } };
};

subtest 'sessions' => sub {
    my $second = $s->login('grace', 'entirely new');
    my $page = $w->must(200, 'auth_sessions_list', as => 'member');
    is scalar(grep { $_->{current} } @{ $page->{items} }), 1, 'one of them is this one';
    is scalar(@{ $page->{items} }), 2, 'there are two';
    is $page->{items}[1]{address}, '127.0.0.1', '... with their address';
    $w->is(422, 'invalid_fields', 'no cursor', 'auth_sessions_list', as => 'member',
        query => { cursor => 'x' });
    my $socket = watch($second->{token}, "user:$id");
    $w->is(404, 'not_found', 'nobody ends another\'s', 'auth_sessions_delete', as => 'owner',
        path => [ $second->{session_id} ]);
    $w->is(204, undef, 'one ends another of one\'s own', 'auth_sessions_delete', as => 'member',
        path => [ $second->{session_id} ]);
    is $socket->closed, 4003, '... whose socket ends';
    is(($s->api(GET => '/v1/auth/me', undef, token => $second->{token}))[0], 401, '... and token');
    $w->is(204, undef, 'this one too', 'auth_sessions_delete', as => 'member',
        path => [ $w->{user}{member}{session_id} ]);
    $w->is(401, 'session_revoked', '... is over', 'auth_sessions_list', as => 'member');
};

$s->stop;
done_testing;

# Joining and leaving tenants, their passwords, roles, kicks and the owner's
# rule, as a client meets them, and what sockets hear of it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use GoConnect::World;
use Test::More;

my $s = GoConnect::Server->start(workers => 2);
my $w = GoConnect::World->new($s);
my ($home, $foreign) = @$w{qw(home foreign)};
my %id = map { $_ => $w->{user}{$_}{id} } keys %{ $w->{user} };
my $NEVER = { 'If-Match' => '"0"' };

sub tenant {
    my (%body) = @_;
    return $w->must(201, 'tenants_create', as => 'owner', body => { name => 'Club', %body })->{id};
}

sub socket_of {
    my ($who, @topic) = @_;
    my $ws = $s->ws(token => $w->token($who));
    $ws->expect('hello');
    $ws->ask(subscribe => { topics => [ map { { topic => $_, seq => undef } } @topic ] });
    return $ws;
}

subtest 'a password' => sub {
    my $club = tenant(visibility => 'public', access => 'password', password => 'friday night');
    my @join = ('tenants_join', as => 'outsider', path => [$club]);
    unlike $s->sql("SELECT t::text FROM goconnect.tenants t WHERE id = '$club'"), qr/friday/,
        'is not kept';
    like $s->sql("SELECT password_hash FROM goconnect.tenants WHERE id = '$club'"), qr/^\$2b\$12\$/,
        '... but its hash';
    $w->is(403, 'password_required', 'none', @join, body => {});
    $w->is(403, 'password_required', 'no body', @join);
    $w->is(403, 'password_required', 'null', @join, body => { password => undef });
    $w->is(403, 'wrong_password', 'another', @join, body => { password => 'saturday' });
    $w->is(403, 'wrong_password', 'its beginning', @join, body => { password => 'friday' });
    $w->is(422, 'invalid_fields', 'an empty one', @join, body => { password => '' });
    $w->is(422, 'invalid_fields', 'a number', @join, body => { password => 12345678 });
    $w->is(422, 'invalid_fields', 'one too long', @join, body => { password => 'x' x 73 });
    my ($tenant, $tx) = $w->is(200, undef, 'the right one', @join, body => { password => 'friday night' });
    is $tenant->{role}, 'member', '... lets in';
    is $tx->res->headers->etag,
        ($w->call('tenants_get', as => 'outsider', path => [$club]))[2]->res->headers->etag,
        '... with the ETag of GET';
    $w->is(200, undef, 'who is in is in', @join);
    $w->must(200, 'tenants_update', as => 'owner', path => [$club], body => { password => 'another one' });
    $w->is(403, 'wrong_password', 'changed', 'tenants_join', as => 'pending', path => [$club],
        body => { password => 'friday night' });
    $w->is(422, 'invalid_fields', 'short', 'tenants_update', as => 'owner', path => [$club],
        body => { password => 'short' });
    $w->is(422, 'invalid_fields', 'with another access', 'tenants_update', as => 'owner',
        path => [$club], body => { access => 'open', password => 'long enough' });
    $w->must(200, 'tenants_update', as => 'owner', path => [$club],
        body => { visibility => 'private' });
    my ($json) = $w->is(404, 'not_found', 'a private one: a wrong guess', 'tenants_join',
        as => 'pending', path => [$club], body => { password => 'wrong guess' });
    my ($unknown) = $w->is(404, 'not_found', '... like no tenant at all', 'tenants_join',
        as => 'pending', path => ['00000000-0000-4000-8000-000000000000'],
        body => { password => 'wrong guess' });
    is_deeply $json, $unknown, '... in every word';
    $w->is(200, undef, '... the right one', 'tenants_join', as => 'pending', path => [$club],
        body => { password => 'another one' });
    unlike $s->log, qr/friday night|another one/, 'no password is in the log';
};

subtest 'an idempotent tenant with a password' => sub {
    my %request = (as => 'owner', body => { name => 'Once only', access => 'password',
            password => 'friday night' },
        headers => { 'Idempotency-Key' => '11111111-2222-4333-8444-000000000001' });
    my $one = $w->must(201, 'tenants_create', %request);
    is $w->must(201, 'tenants_create', %request)->{id}, $one->{id}, 'is the same tenant twice';
};

subtest 'the other ways in' => sub {
    my $open = tenant(visibility => 'public', access => 'open');
    my $shut = tenant(visibility => 'public');
    my $hidden = tenant(access => 'open');
    my $ws = socket_of('owner', "tenant:$open");
    $w->is(200, undef, 'open', 'tenants_join', as => 'member', path => [$open]);
    is $ws->expect('member')->{data}{member}{username}, 'member-x', '... the others hear it';
    $w->is(403, 'invite_required', 'by invite', 'tenants_join', as => 'member', path => [$shut]);
    $w->is(404, 'not_found', 'private', 'tenants_join', as => 'member', path => [$hidden]);
    $w->is(409, 'last_owner', 'the last owner does not leave', 'tenants_leave', as => 'owner',
        path => [$open]);
    $w->is(204, undef, 'a member does', 'tenants_leave', as => 'member', path => [$open]);
    is $ws->expect('member')->{data}{change}, 'removed', '... the others hear it';
    $w->is(409, 'not_joined', '... once', 'tenants_leave', as => 'member', path => [$open]);
    $w->is(404, 'not_found', 'a stranger leaves nothing', 'tenants_leave', as => 'member',
        path => [$hidden]);
    $ws->close;
};

subtest 'roles' => sub {
    my @role = (path => [ $home->{tenant}, $id{member} ]);
    my $etag = ($w->call('members_get', as => 'admin', @role))[2]->res->headers->etag;
    $w->is(200, undef, 'GET as somebody else', 'members_get', as => 'moderator', @role);
    is(($w->call('members_get', as => 'admin', @role, quiet => 1,
        headers => { 'If-None-Match' => $etag }))[0], 304, '... not twice');
    $w->is(200, undef, 'an admin makes a moderator', 'members_update', as => 'admin', @role,
        body => { role => 'moderator' }, headers => { 'If-Match' => $etag });
    $w->is(412, 'precondition_failed', 'who is too late', 'members_update', as => 'admin', @role,
        body => { role => 'member' }, headers => { 'If-Match' => $etag });
    my $ws = socket_of('member', "tenant:$home->{tenant}", "tenant:$home->{tenant}/staff");
    $w->is(200, undef, 'and takes it back', 'members_update', as => 'admin', @role,
        body => { role => 'member' });
    is_deeply $ws->expect('revoked')->{data}{topics},
        [ "tenant:$home->{tenant}/staff", "network:$home->{network}/staff" ],
        '... the socket loses the staff\'s topics';
    $ws->close;
    $w->is(422, 'invalid_fields', 'no king', 'members_update', as => 'owner', @role,
        body => { role => 'king' });
    $w->is(422, 'invalid_fields', 'no role', 'members_update', as => 'owner', @role, body => {});
    $w->is(403, 'role_too_high', 'an admin makes no admin', 'members_update', as => 'admin', @role,
        body => { role => 'admin' });
    $w->is(403, 'outranked', 'nor touches an owner', 'members_update', as => 'admin',
        path => [ $home->{tenant}, $id{owner} ], body => { role => 'member' });
    $w->is(409, 'last_owner', 'the last owner stays', 'members_update', as => 'owner',
        path => [ $home->{tenant}, $id{owner} ], body => { role => 'admin' });
};

subtest 'a kick' => sub {
    my $device = socket_of('member device', "network:$home->{network}",
        "device:$home->{device}");
    my $user = socket_of('member', "tenant:$home->{tenant}", "user:$id{member}");
    my $other = socket_of('owner', "network:$home->{network}");
    my @kick = ('members_remove', path => [ $home->{tenant}, $id{member} ]);
    $w->is(403, 'outranked', 'not oneself', 'members_remove', as => 'moderator',
        path => [ $home->{tenant}, $id{moderator} ]);
    $w->is(412, 'precondition_failed', 'not an old version', @kick, as => 'moderator',
        headers => $NEVER);
    $w->is(204, undef, 'by a moderator', @kick, as => 'moderator');
    is_deeply $other->expect('netmap_delta')->{data}{remove}, [ $home->{peer} ],
        'the peer leaves the map of the others';
    is $user->expect('revoked')->{data}{reason}, 'kicked', 'the user hears it';
    is $device->expect('revoked')->{data}{tenant_id}, $home->{tenant}, 'and his device';
    ok $device->expect(sub { $_[0]{type} eq 'self' && !@{ $_[0]{data}{peers} } }),
        '... which has nothing left';
    $_->close for $device, $user, $other;
    $w->is(404, 'not_found', 'he is out', 'tenants_get', as => 'member', path => [ $home->{tenant} ]);
    $w->is(404, 'not_found', '... and not kicked twice', @kick, as => 'moderator');
    $s->sql("INSERT INTO goconnect.memberships (tenant_id, user_id, status) "
        . "VALUES ('$home->{tenant}', '$id{member}', 'banned')");
    $w->is(409, 'banned', 'who is banned is not kicked', @kick, as => 'moderator');
    $w->is(409, 'banned', '... and has no role', 'members_update', as => 'owner',
        path => [ $home->{tenant}, $id{member} ], body => { role => 'moderator' });
};

subtest 'handing over' => sub {
    my @give = ('tenants_transfer', path => [ $home->{tenant} ]);
    $w->is(403, 'forbidden', 'by an admin', @give, as => 'admin', body => { user_id => $id{admin} });
    $w->is(422, 'invalid_fields', 'to oneself', @give, as => 'owner', body => { user_id => $id{owner} });
    $w->is(422, 'invalid_fields', 'to who is not in', @give, as => 'owner',
        body => { user_id => $id{pending} });
    my $ws = socket_of('admin', "user:$id{admin}");
    is $w->is(200, undef, 'to an admin', @give, as => 'owner', body => { user_id => $id{admin} })->{role},
        'admin', '... the caller is one now';
    is $ws->expect('tenant')->{data}{tenant}{role}, 'owner', '... and the heir hears it';
    $ws->close;
    $w->is(204, undef, '... so that he can leave', 'tenants_leave', as => 'owner',
        path => [ $home->{tenant} ]);
};

subtest 'search' => sub {
    my %page = map { $_ => tenant(name => "Find me $_", visibility => 'public') } 1 .. 5;
    my ($found, $cursor, $pages) = (0, undef, 0);
    do {
        my $page = $w->must(200, 'tenants_list', as => 'outsider',
            query => { scope => 'public', q => 'ND ME', limit => 2, defined $cursor ? (cursor => $cursor) : () });
        $found += @{ $page->{items} };
        $cursor = $page->{next_cursor};
    } while defined $cursor && ++$pages < 10;
    is $found, 5, 'goes on from page to page';
    is @{ $w->must(200, 'tenants_list', as => 'outsider', query => { scope => 'public', q => '\\' })->{items} },
        0, 'a backslash is one';
    $w->is(422, 'invalid_fields', 'no text', 'tenants_list', as => 'outsider',
        query => { scope => 'public', q => 'x' x 65 });
};

$s->stop;
done_testing;

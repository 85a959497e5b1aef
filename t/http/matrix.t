# Who may do what: every route of the table times every kind of caller, and
# every id swapped for a foreign and for an unknown one.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Routes;
use GoConnect::Server;
use GoConnect::World;
use Test::More;

my $s = GoConnect::Server->start(workers => 2);
my $w = GoConnect::World->new($s);
my ($home, $foreign) = @$w{qw(home foreign)};

my $NEVER = '"0"';    # an If-Match that no version has: who may, gets 412

# The statuses for: outsider, pending, member, moderator, admin, owner, the
# member's device, the outsider's device. `path` and `body` may be functions of
# the caller. Routes without a credential are not here: they have no matrix.
my %expected = (
    auth_logout => { skip => 'ends the session: see auth.t' },
    auth_me => { want => [ (200) x 8 ] },
    tenants_list => { want => [ (200) x 6, 403, 403 ] },
    tenants_create => { want => [ (201) x 6, 403, 403 ], body => sub { { name => "T $_[0]" } } },
    tenants_get => { path => ['tenant'], want => [ 404, (200) x 5, 403, 403 ] },
    tenants_update => { path => ['tenant'], body => { description => 'changed' },
        want => [ 404, 403, 403, 403, 200, 200, 403, 403 ] },
    tenants_delete => { path => ['tenant'], match => $NEVER,
        want => [ 404, 403, 403, 403, 403, 412, 403, 403 ] },
    members_list => { path => ['tenant'], want => [ 404, 403, (200) x 4, 403, 403 ] },
    members_add => { path => ['tenant'], body => { username => 'nobody-here' },
        want => [ 404, 403, 403, 403, 422, 422, 403, 403 ] },
    members_accept => { path => ['tenant'], want => [ 404, 200, (200) x 4, 403, 403 ],
        after => sub {
            $s->sql("UPDATE goconnect.memberships SET status = 'pending', joined_at = NULL "
                . "WHERE tenant_id = '$home->{tenant}' AND user_id = '$w->{user}{pending}{id}' "
                . 'AND network_id IS NULL') if $_[0] eq 'pending';
        } },
    networks_list => { path => ['tenant'], want => [ 404, 403, (200) x 4, 403, 403 ] },
    networks_create => { path => ['tenant'], body => sub { { name => "N $_[0]" } },
        want => [ 404, 403, 403, 403, 201, 201, 403, 403 ] },
    networks_get => { path => ['network'], want => [ 404, 404, (200) x 4, 200, 404 ] },
    networks_update => { path => ['network'], body => { description => 'changed' },
        want => [ 404, 404, 403, 403, 200, 200, 403, 403 ] },
    networks_delete => { path => ['network'], match => $NEVER,
        want => [ 404, 404, 403, 403, 412, 412, 403, 403 ] },
    network_members_list => { path => ['network'], want => [ 404, 404, (200) x 4, 200, 404 ] },
    networks_join => { path => ['network'], want => [ 404, 404, (200) x 4, 403, 403 ] },
    networks_leave => { path => ['lobby'], want => [ 404, 404, (409) x 4, 403, 403 ] },
    invites_list => { path => ['tenant'], want => [ 404, 403, 403, 403, 200, 200, 403, 403 ] },
    invites_create => { path => ['tenant'], body => {},
        want => [ 404, 403, 403, 403, 201, 201, 403, 403 ] },
    invites_delete => { path => sub { fresh_invite() },
        want => [ 404, qr/40[34]/, qr/40[34]/, qr/40[34]/, 204, 204, 403, 403 ] },
    invites_accept => { path => sub { 'ZZZZZZZZZZ' }, foreign => 0,
        want => [ (404) x 6, 403, 403 ] },
    devices_list => { want => [ (200) x 6, 403, 403 ] },
    devices_create => { want => [ (201) x 6, 403, 403 ],
        body => sub { { name => 'new', platform => 'other', public_key => $s->wg_key } } },
    devices_get => { path => ['device'], want => [ 404, 404, 200, 404, 404, 404, 200, 404 ] },
    devices_update => { path => ['device'], body => { name => 'renamed' },
        want => [ 404, 404, 200, 404, 404, 404, 403, 403 ] },
    devices_delete => { path => ['device'], match => $NEVER,
        want => [ 404, 404, 412, 404, 404, 404, 403, 403 ] },
    devices_netmap => { path => ['device'], want => [ 404, 404, 200, 404, 404, 404, 200, 404 ] },
    peers_list => { path => ['network'], want => [ 404, 404, (200) x 4, 200, 404 ] },
    peers_create => { path => ['network'],
        body => sub {
            my ($who) = @_;
            my %body = (public_key => $s->wg_key);
            $body{device_id} = $w->{device}{$who}{id} if $who !~ /device/;
            return \%body;
        },
        want => [ 404, 404, (qr/20[01]/) x 4, 200, 404 ] },
    peers_config => { path => ['peer'], want => [ 404, 404, 200, 403, 403, 403, 200, 404 ] },
    peers_delete => { path => ['peer'], match => $NEVER,
        want => [ 404, 404, (412) x 4, 412, 404 ] },
    tenant_messages_list => { path => ['tenant'], want => [ 404, 403, (200) x 4, 403, 403 ] },
    tenant_messages_create => { path => ['tenant'], body => { content => 'hello' },
        want => [ 404, 403, (201) x 4, 403, 403 ] },
    network_messages_list => { path => ['network'], want => [ 404, 404, (200) x 4, 200, 404 ] },
    network_messages_create => { path => ['network'], body => { content => 'hello' },
        want => [ 404, 404, (201) x 4, 201, 404 ] },
    ws_ticket_create => { want => [ (qr/20[01]/) x 8 ] },
);

my @caller = (qw(outsider pending member moderator admin owner), 'member device',
    'outsider device');

sub fresh_invite {
    return $w->must(201, 'invites_create', as => 'owner', path => [ $home->{tenant} ])->{id};
}

sub values_of {
    my ($case, $in) = @_;
    return [] if !$case->{path};
    return [ $case->{path}->() ] if ref $case->{path} eq 'CODE';
    return [ map { $in->{$_} } @{ $case->{path} } ];
}

sub request {
    my ($route, $case, $who, $path) = @_;
    my $body = ref $case->{body} eq 'CODE' ? $case->{body}->($who) : $case->{body};
    return ($route->{name}, path => $path, body => $body,
        headers => { $case->{match} ? ('If-Match' => $case->{match}) : () });
}

sub status_like {
    my ($got, $want, $what, $tx) = @_;
    my $ok = ref $want ? $got =~ /^$want\z/ : $got == $want;
    ok $ok, "$what: $got" or diag "expected $want, got " . $tx->res->body;
    return;
}

my %old = (claims => { iat => time - 2000, exp => time - 1100 });
my %forged = (
    expired     => $w->forge('owner', %old),
    forged      => $w->forge('owner', key => 'x' x 32),
    'alg none'  => $w->forge('owner', header => { alg => 'none' }),
    'alg none, signed' => $w->forge('owner', header => { alg => 'none' }, key => $w->jwt_key),
    HS512       => $w->forge('owner', header => { alg => 'HS512' }),
    'other kid' => $w->forge('owner', header => { kid => 'nope' }),
    'other aud' => $w->forge('owner', claims => { aud => 'else' }),
    'other iss' => $w->forge('owner', claims => { iss => 'http://else' }),
    'no exp'    => $w->forge('owner', claims => { exp => undef }),
    'no sub'    => $w->forge('owner', claims => { sub => undef }),
    'odd sub'   => $w->forge('owner', claims => { sub => "x' OR 1=1" }),
    'cut off'   => substr($w->forge('owner'), 0, -3),
    'no token'  => 'x',
    'two dots'  => '..',
    long        => 'a' x 6000,
);
is(($w->call('auth_me', token => $w->forge('owner')))[0], 200,
    'the test can make a good token');

for my $route (GoConnect::Routes::all()) {
    my $name = $route->{name};
    next if $route->{credential} eq 'NONE';
    my $case = $expected{$name};
    ok $case, "$name has a row in the matrix" or next;

    # without a good token nothing goes, whatever else is right
    my @request = request($route, $case, 'member', values_of($case, $home));
    my ($status, $json, $tx) = $w->call(@request, as => 'nobody');
    is "$status $json->{code}", '401 token_missing', "$name: nobody";
    my @kind = $name eq 'auth_me' ? sort keys %forged : ('expired', 'forged', 'alg none');
    for my $kind (@kind) {
        ($status, $json, $tx) = $w->call(@request, token => $forged{$kind});
        is "$status $json->{code}", '401 token_invalid', "$name: $kind";
    }
    next if $case->{skip};

    for my $i (0 .. $#caller) {
        my $who = $caller[$i];
        ($status, $json, $tx) =
            $w->call(request($route, $case, $who, values_of($case, $home)), as => $who);
        status_like($status, $case->{want}[$i], "$name: $who", $tx);
        is $json->{code}, 'insufficient_scope', "$name: $who, why"
            if $who =~ /device/ && $route->{credential} eq 'USER';
        $case->{after}->($who) if $case->{after};
    }

    # the owner of one tenant is nobody in another
    next if ref $case->{path} ne 'ARRAY';
    for my $who ('owner', $route->{credential} eq 'ANY' ? 'member device' : ()) {
        ($status, $json, $tx) =
            $w->call(request($route, $case, $who, values_of($case, $foreign)), as => $who);
        is "$status $json->{code}", '404 not_found', "$name: $who, foreign id";
        my $unknown = [ map { '00000000-0000-4000-8000-000000000000' } @{ $case->{path} } ];
        my ($status2, $json2) = $w->call(request($route, $case, $who, $unknown), as => $who);
        is "$status2 $json2->{code}", '404 not_found', "$name: $who, unknown id";
        is_deeply $json2, $json, "$name: $who, foreign and unknown cannot be told apart";
    }
}

# Other ids in a body.
$w->is(422, undef, 'peers_create: a foreign device_id', 'peers_create', as => 'owner',
    path => [ $home->{network} ],
    body => { public_key => $s->wg_key, device_id => $foreign->{device} });
$w->is(403, undef, 'peers_create: a device names another of its user', 'peers_create',
    as => 'member device', path => [ $home->{network} ],
    body => { public_key => $s->wg_key,
        device_id => $s->device($w->{user}{member})->{id} });
for my $network ($foreign->{network}, '00000000-0000-4000-8000-000000000000') {
    my ($status) = $w->call('invites_create', as => 'owner', path => [ $home->{tenant} ],
        body => { network_id => $network });
    like $status, qr/^(?:404|422)\z/, 'invites_create: a foreign or unknown network_id';
}

# Nobody gives a role at or above their own.
for my $role (qw(admin owner)) {
    $w->is(403, undef, "invites_create: an admin cannot invite as $role", 'invites_create',
        as => 'admin', path => [ $home->{tenant} ], body => { role => $role });
    $w->is(403, undef, "members_add: an admin cannot add as $role", 'members_add',
        as => 'admin', path => [ $home->{tenant} ],
        body => { username => 'outsider-x', role => $role });
}

$s->stop;
done_testing;

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
my $w = GoConnect::World->new($s, excluded => 1);
my ($home, $foreign) = @$w{qw(home foreign)};

my $UNKNOWN = '00000000-0000-4000-8000-000000000000';
my $guest = 0;
my $NEVER = '"0"';    # an If-Match that no version has: who may, gets 412

# One row for each route that needs a credential:
#
#   path   what its parameters are, by their names in GoConnect::World's home
#          ('tenant', 'network', ...), or a function of the caller
#   body   or a function of the caller
#   match  an If-Match
#   want   the status for each caller. Who is not named gets what stands for
#          the one before him in @ladder; the rest by %as, below
#   swap   members of the body that hold an id, and the status that a foreign
#          and an unknown one get from the owner
#   after  what is to be undone behind a call, a function of the caller
my %expected = (
    auth_logout => { skip => 'ends the session: see auth.t' },
    auth_me => { want => { outsider => 200 } },
    auth_password => { body => { password => 'wrong', new_password => 'long enough' },
        want => { outsider => 403 } },
    auth_sessions_list => { want => { outsider => 200 } },
    auth_sessions_delete => { path => sub { $w->{user}{member}{session_id} },
        want => { outsider => 404, barred => 404, member => 204, moderator => 404 },
        after => sub {
            $w->{user}{member} = { %{ $w->{user}{member} }, %{ $s->login('member-x') } }
                if $_[0] eq 'member';
        } },
    users_update => { body => { settings => { theme => 'dark' } }, want => { outsider => 200 } },
    auth_device_get => { path => sub { fresh_code() }, want => { outsider => 200 } },
    auth_device_approve => { want => { outsider => 204 }, swap => { networks => 422 },
        body => sub { { user_code => fresh_code(), approve => \1 } } },
    enrollment_keys_list => { path => ['tenant'],
        want => { outsider => 404, pending => 403, admin => 200 } },
    enrollment_keys_create => { path => ['tenant'], body => sub { { name => "Key $_[0]" } },
        swap => { networks => 422 },
        want => { outsider => 404, pending => 403, admin => 201 } },
    enrollment_keys_delete => { path => sub { fresh_key() },
        want => { outsider => 404, member => 403, admin => 204 } },
    tenants_list => { want => { outsider => 200 } },
    tenants_create => { want => { outsider => 201 }, body => sub { { name => "T $_[0]" } } },
    tenants_get => { path => ['tenant'], want => { outsider => 404, pending => 200 } },
    tenants_update => { path => ['tenant'], body => { description => 'changed' },
        want => { outsider => 404, pending => 403, admin => 200 } },
    tenants_delete => { path => ['tenant'], match => $NEVER,
        want => { outsider => 404, pending => 403, owner => 412 } },
    tenants_join => { path => sub { own_tenant($_[0]) }, body => {},
        want => { outsider => 404, pending => 200, member => 200 } },
    tenants_leave => { path => sub { own_tenant($_[0]) },
        want => { outsider => 404, pending => 204, owner => 409 } },
    tenants_transfer => { path => ['tenant'], body => { user_id => $UNKNOWN },
        swap => { user_id => 422 },
        want => { outsider => 404, pending => 403, owner => 422 } },
    members_list => { path => ['tenant'],
        want => { outsider => 404, pending => 403, member => 200 } },
    members_add => { path => ['tenant'], body => { username => 'nobody-here' },
        want => { outsider => 404, pending => 403, admin => 422 } },
    members_accept => { path => ['tenant'], want => { outsider => 404, pending => 200 },
        after => sub {
            $s->sql("UPDATE goconnect.memberships SET status = 'pending', joined_at = NULL "
                . "WHERE tenant_id = '$home->{tenant}' AND user_id = '$w->{user}{pending}{id}' "
                . 'AND network_id IS NULL') if $_[0] eq 'pending';
        } },
    members_get => { path => [ 'tenant', 'user' ],
        want => { outsider => 404, pending => 403, member => 200 } },
    members_update => { path => [ 'tenant', 'user' ], body => { role => 'member' },
        want => { outsider => 404, pending => 403, admin => 200 } },
    members_remove => { path => [ 'tenant', 'user' ], match => $NEVER,
        want => { outsider => 404, pending => 403, moderator => 412 } },
    networks_list => { path => ['tenant'],
        want => { outsider => 404, pending => 403, member => 200 } },
    networks_create => { path => ['tenant'], body => sub { { name => "N $_[0]" } },
        want => { outsider => 404, pending => 403, admin => 201 } },
    networks_get => { path => ['network'],
        want => { outsider => 404, barred => 200, member => 200 } },
    networks_update => { path => ['network'], body => { description => 'changed' },
        want => { outsider => 404, member => 403, admin => 200 } },
    networks_delete => { path => ['network'], match => $NEVER,
        want => { outsider => 404, member => 403, admin => 412 } },
    network_members_list => { path => ['network'], want => { outsider => 404, member => 200 } },
    networks_join => { path => ['network'], want => { outsider => 404, member => 200 } },
    networks_leave => { path => ['lobby'], want => { outsider => 404, member => 409 } },
    network_requests_list => { path => ['network'],
        want => { outsider => 404, member => 403, moderator => 200 } },
    (map { ("networks_$_" => { path => ['network'],
            body => sub { { user_id => $home->{user} } }, swap => { user_id => 422 },
            want => { outsider => 404, member => 403, moderator => 422 } }) } qw(approve deny)),
    networks_kick => { path => ['network'], body => sub { { user_id => fresh_member() } },
        swap => { user_id => 422 }, want => { outsider => 404, member => 403, moderator => 204 } },
    networks_ban => { path => ['network'], body => sub { { user_id => fresh_member() } },
        want => { outsider => 404, member => 403, moderator => 201 } },
    networks_unban => { path => ['network'],
        body => sub { { user_id => $w->{user}{outsider}{id} } }, swap => { user_id => 422 },
        want => { outsider => 404, member => 403, moderator => 422 } },
    network_bans_list => { path => ['network'],
        want => { outsider => 404, member => 403, moderator => 200 } },
    network_members_update => { path => [ 'network', 'user' ], body => { role => 'member' },
        want => { outsider => 404, member => 403, admin => 200 } },
    tenant_bans_list => { path => ['tenant'],
        want => { outsider => 404, pending => 403, moderator => 200 } },
    tenant_bans_create => { path => sub { ($home->{tenant}, fresh_member()) }, body => {},
        want => { outsider => 404, pending => 403, moderator => 201 } },
    tenant_bans_delete => { path => [ 'tenant', 'user' ],
        want => { outsider => 404, pending => 403, moderator => 404 } },
    invites_list => { path => ['tenant'],
        want => { outsider => 404, pending => 403, admin => 200 } },
    invites_create => { path => ['tenant'], body => {}, swap => { network_id => 422 },
        want => { outsider => 404, pending => 403, admin => 201 } },
    invites_delete => { path => sub { fresh_invite() },
        want => { outsider => 404, member => 403, admin => 204 } },
    invites_accept => { path => sub { 'ZZZZZZZZZZ' }, want => { outsider => 404 } },
    rules_get => { path => ['network'], want => { outsider => 404, member => 200 } },
    rules_put => { path => ['network'], body => { rules => [] },
        want => { outsider => 404, barred => 403, member => 403, admin => 200 } },
    reservations_list => { path => ['network'],
        want => { outsider => 404, barred => 403, member => 403, admin => 200 } },
    reservations_create => { path => ['network'], body => { name => 'held' },
        swap => { user_id => 422, device_id => 422 },
        after => sub { $s->sql("DELETE FROM goconnect.reservations WHERE name = 'held'") },
        want => { outsider => 404, barred => 403, member => 403, admin => 201 } },
    reservations_delete => { path => ['reservation'], match => $NEVER,
        want => { outsider => 404, barred => 403, member => 403, admin => 412 } },
    devices_list => { want => { outsider => 200 } },
    devices_create => { want => { outsider => 201 },
        body => sub { { name => 'new', platform => 'other', public_key => $s->wg_key } } },
    devices_get => { path => ['device'],
        want => { outsider => 404, barred => 404, member => 200, moderator => 404 } },
    devices_update => { path => ['device'], body => { name => 'renamed' },
        want => { outsider => 404, barred => 404, member => 200, moderator => 404,
            'member device' => 403 } },
    devices_delete => { path => ['device'], match => $NEVER,
        want => { outsider => 404, barred => 404, member => 412, moderator => 404 } },
    devices_netmap => { path => ['device'],
        want => { outsider => 404, barred => 404, member => 200, moderator => 404 } },
    peers_list => { path => ['network'], want => { outsider => 404, member => 200 } },
    networks_mesh => { path => ['network'], want => { outsider => 404, member => 200 } },
    peers_create => { path => ['network'],
        body => sub {
            my ($who) = @_;
            my %body = (public_key => $s->wg_key);
            $body{device_id} = $w->{device}{$who}{id} if $who !~ /device/;
            return \%body;
        },
        want => { outsider => 404, member => qr/20[01]/, 'member device' => 200 },
        swap => { device_id => 422 } },
    peers_config => { path => ['peer'],
        want => { outsider => 404, barred => 404, member => 200, moderator => 403 } },
    peers_update => { path => ['peer'], body => { name => 'renamed' },
        want => { outsider => 404, barred => 404, member => 200, moderator => 403, admin => 200 } },
    peers_rotate => { path => ['peer'], body => sub { { public_key => $s->wg_key } },
        want => { outsider => 404, barred => 404, member => 200, moderator => 403 } },
    peers_rotate_commit => { path => ['peer'], body => sub { { public_key => $s->wg_key } },
        want => { outsider => 404, barred => 404, member => 409, moderator => 403 } },
    peers_delete => { path => ['peer'], match => $NEVER,
        want => { outsider => 404, barred => 404, member => 412 } },
    tenant_messages_list => { path => ['tenant'],
        want => { outsider => 404, pending => 403, member => 200 } },
    tenant_messages_create => { path => ['tenant'], body => { content => 'hello' },
        want => { outsider => 404, pending => 403, member => 201 } },
    network_messages_list => { path => ['network'],
        want => { outsider => 404, member => 200 } },
    network_messages_create => { path => ['network'], body => { content => 'hello' },
        want => { outsider => 404, member => 201 } },
    messages_update => { path => sub { fresh_message() }, body => { content => 'changed' },
        want => { outsider => 404, barred => 404, member => 200, moderator => 403 } },
    messages_delete => { path => sub { fresh_message() },
        want => { outsider => 404, barred => 404, member => 204 } },
    tenant_read_mark_get => { path => ['tenant'],
        want => { outsider => 404, pending => 403, member => 200 } },
    tenant_read_mark_set => { path => ['tenant'], body => { number => 0 },
        want => { outsider => 404, pending => 403, member => 200 } },
    network_read_mark_get => { path => ['network'], want => { outsider => 404, member => 200 } },
    network_read_mark_set => { path => ['network'], body => { number => 0 },
        want => { outsider => 404, member => 200 } },
    read_marks_list => { want => { outsider => 200 } },
    relays_list => { want => { outsider => 200 } },
    admin_users_list => { want => { outsider => 403, 'server admin' => 200 } },
    admin_users_suspend => { path => sub { victim() }, body => {},
        want => { outsider => 403, 'server admin' => 200 } },
    admin_users_restore => { path => sub { victim() },
        want => { outsider => 403, 'server admin' => 200 } },
    admin_users_reset_link => { path => sub { victim() },
        want => { outsider => 403, 'server admin' => 201 } },
    admin_tenants_list => { want => { outsider => 403, 'server admin' => 200 } },
    admin_tenants_delete => { path => sub { $home->{tenant} }, match => $NEVER,
        want => { outsider => 403, 'server admin' => 412 } },
    admin_stats => { want => { outsider => 403, 'server admin' => 200 } },
    audit_list => { path => ['tenant'],
        want => { outsider => 404, pending => 403, admin => 200 } },
    audit_verify => { path => ['tenant'],
        want => { outsider => 404, pending => 403, admin => 200 } },
    admin_audit_list => { want => { outsider => 403, 'server admin' => 200 } },
    admin_audit_verify => { want => { outsider => 403, 'server admin' => 200 } },
    ws_ticket_create => { want => { outsider => qr/20[01]/ } },
);

my @ladder = qw(outsider pending member moderator admin owner);

# The others: banned from the tenant, barred (banned from the network) and
# devices. A device may not use what needs a user's session; else it stands
# where its user does, unless he is outside.
my %as = (
    banned => sub { 'outsider' },
    'server admin' => sub { 'outsider' },
    barred => sub { inside_network($_[1]) ? 403 : 'member' },
    map {
        my ($device, $user) = @$_;
        ("$device device" => sub { $_[0]{credential} eq 'USER' ? 403 : $user });
    } [ outsider => 'outsider' ], [ banned => 'outsider device' ],
      [ barred => 'outsider device' ], [ member => 'member' ]);

# What is in the network, so that somebody who is banned from it meets a 403.
sub inside_network {
    my ($case) = @_;
    return ref $case->{path} eq 'ARRAY' && $case->{path}[0] =~ /^(?:network|peer)\z/;
}

sub wanted {
    my ($route, $case, $who) = @_;
    return $case->{want}{$who} if defined $case->{want}{$who};
    if ($as{$who}) {
        my $other = $as{$who}->($route, $case);
        return $other =~ /^\d/ ? $other : wanted($route, $case, $other);
    }
    my ($at) = grep { $ladder[$_] eq $who } 0 .. $#ladder;
    return $at ? wanted($route, $case, $ladder[ $at - 1 ]) : undef;
}

my @caller = (@ladder, sort keys %as);

sub fresh_code {
    return $w->must(200, 'auth_device_code', body =>
        { name => 'nas', platform => 'linux', public_key => $s->wg_key })->{user_code};
}

sub fresh_key {
    return $w->must(201, 'enrollment_keys_create', as => 'owner', path => [ $home->{tenant} ],
        body => { name => 'fresh' })->{id};
}

# Somebody who is in the tenant and in the network, for one call.
sub fresh_member {
    my $name = 'guest' . ++$guest;
    return $s->sql(<<"SQL");
WITH u AS (
    INSERT INTO goconnect.users (username, password_hash) VALUES ('$name', 'x') RETURNING id
), m AS (
    INSERT INTO goconnect.memberships (tenant_id, network_id, user_id, joined_at)
    SELECT '$home->{tenant}', n::uuid, u.id, now()
      FROM u, unnest(ARRAY[NULL, '$home->{network}']) n
)
SELECT id FROM u
SQL
}

sub fresh_invite {
    return $w->must(201, 'invites_create', as => 'owner', path => [ $home->{tenant} ])->{id};
}

# one of the member's, in the network
sub fresh_message {
    return $w->must(201, 'network_messages_create', as => 'member', path => [ $home->{network} ],
        body => { content => 'fresh' })->{id};
}

# Somebody whom nothing else here needs.
my $victim;
sub victim { return $victim //= $s->register('victim-x')->{id} }

# A tenant of its own for the caller, who stands in it as he does at home.
sub own_tenant {
    my ($who) = @_;
    my $tenant = $w->must(201, 'tenants_create', as => 'owner', body => { name => "Of $who" })->{id};
    my ($role) = grep { $_ eq $who } qw(member moderator admin);
    my $status = $who eq 'pending' ? 'pending' : $who eq 'banned' ? 'banned' : 'active';
    $s->sql('INSERT INTO goconnect.memberships (tenant_id, user_id, role, status, joined_at) '
        . "VALUES ('$tenant', '$w->{user}{$who}{id}', '" . ($role // 'member') . "', '$status', now())")
        if $role || $who =~ /^(?:pending|banned|barred)\z/;
    return $tenant;
}

sub values_of {
    my ($case, $in, $who) = @_;
    return [] if !$case->{path};
    return [ $case->{path}->($who) ] if ref $case->{path} eq 'CODE';
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
    my @request = request($route, $case, 'member', values_of($case, $home, 'member'));
    my ($status, $json, $tx) = $w->call(@request, as => 'nobody');
    is "$status $json->{code}", '401 token_missing', "$name: nobody";
    my @kind = $name eq 'auth_me' ? sort keys %forged : ('expired', 'forged', 'alg none');
    for my $kind (@kind) {
        ($status, $json, $tx) = $w->call(@request, token => $forged{$kind});
        is "$status $json->{code}", '401 token_invalid', "$name: $kind";
    }
    # nor does one whose session has ended, however long the token would live
    ($status, $json, $tx) = $w->call(@request, as => 'ended');
    is "$status $json->{code}", '401 session_revoked', "$name: an ended session";
    ($status, $json, $tx) = $w->call(@request, as => 'revoked device');
    is "$status $json->{code}", $route->{credential} eq 'USER' ? '403 insufficient_scope'
        : '401 session_revoked', "$name: a revoked device";
    next if $case->{skip};

    my @unknown = grep { my $who = $_; !grep { $_ eq $who } @caller } keys %{ $case->{want} };
    is "@unknown", '', "$name: the row names callers that exist";
    for my $who (@caller) {
        my $want = wanted($route, $case, $who);
        ok defined $want, "$name: an expectation for $who" or next;
        ($status, $json, $tx) =
            $w->call(request($route, $case, $who, values_of($case, $home, $who)), as => $who);
        status_like($status, $want, "$name: $who", $tx);
        is $json->{code}, 'insufficient_scope', "$name: $who, why"
            if $who =~ /device/ && $route->{credential} eq 'USER';
        $case->{after}->($who) if $case->{after};
    }
    swapped_in_path($route, $case) if ref $case->{path} eq 'ARRAY';
    swapped_in_body($route, $case) if $case->{swap};
}

# The owner of one tenant is nobody in another: each id of the path for itself,
# and all together.
sub swapped_in_path {
    my ($route, $case) = @_;
    my $name = $route->{name};
    my @path = @{ $case->{path} };
    my @which = (map({ [$_] } 0 .. $#path), @path > 1 ? [ 0 .. $#path ] : ());
    for my $who ('owner', $route->{credential} eq 'ANY' ? 'member device' : ()) {
        for my $which (@which) {
            my @foreign = @{ values_of($case, $home, $who) };
            my @unknown = @foreign;
            $foreign[$_] = $foreign->{ $path[$_] } for @$which;
            $unknown[$_] = $UNKNOWN for @$which;
            my $what = "$name: $who, " . join ' and ', map { $path[$_] } @$which;
            my ($status, $json) =
                $w->call(request($route, $case, $who, \@foreign), as => $who);
            is "$status $json->{code}", '404 not_found', "$what foreign";
            my ($status2, $json2) =
                $w->call(request($route, $case, $who, \@unknown), as => $who);
            is "$status2 $json2->{code}", '404 not_found', "$what unknown";
            is_deeply $json2, $json, "$what: foreign and unknown cannot be told apart";
        }
    }
    return;
}

sub swapped_in_body {
    my ($route, $case) = @_;
    for my $field (sort keys %{ $case->{swap} }) {
        my %answer;
        my $list = $field !~ /_id\z/;
        my $kind = $field =~ s/(?:_id|s)\z//r;
        for my $id ($foreign->{$kind}, $UNKNOWN) {
            my (undef, %request) = request($route, $case, 'owner', values_of($case, $home, 'owner'));
            $request{body} = { %{ $request{body} }, $field => $list ? [$id] : $id };
            my ($status, $json, $tx) = $w->call($route->{name}, %request, as => 'owner');
            my $what = $id eq $UNKNOWN ? 'unknown' : 'foreign';
            status_like($status, $case->{swap}{$field}, "$route->{name}: $what $field", $tx);
            $answer{$what} = $json;
        }
        is_deeply $answer{foreign}, $answer{unknown},
            "$route->{name}: foreign and unknown $field cannot be told apart";
    }
    return;
}

# Other ids in a body.
$w->is(403, undef, 'peers_create: a device names another of its user', 'peers_create',
    as => 'member device', path => [ $home->{network} ],
    body => { public_key => $s->wg_key,
        device_id => $s->device($w->{user}{member})->{id} });

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

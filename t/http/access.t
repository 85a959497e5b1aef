# Who gets into a network and who is put out of it: requests, kicks, bans, roles
# and bans from the tenant, over HTTP.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use GoConnect::World;
use Mojo::JSON qw(encode_json);
use Test::More;

my $s = GoConnect::Server->start(workers => 2);
my $w = GoConnect::World->new($s);
my $home = $w->{home};
my %id = map { $_ => $w->{user}{$_}{id} } keys %{ $w->{user} };
my @in = (path => [ $home->{network} ]);

# One more member of the tenant.
my $extra = 0;
sub newcomer {
    my $name = 'new' . ++$extra;
    $w->{user}{$name} = $s->register("$name-x");
    $w->{device}{$name} = $s->device($w->{user}{$name});
    $id{$name} = $w->{user}{$name}{id};
    $w->must(201, 'members_add', as => 'owner', path => [ $home->{tenant} ],
        body => { username => "$name-x" });
    $w->must(200, 'members_accept', as => $name, path => [ $home->{tenant} ]);
    return $name;
}

# ---------------------------------------------------------------------- fields

for my $case (
    [ networks_approve => {}, 'user_id', 'required' ],
    [ networks_deny => { user_id => 'x' }, 'user_id', 'invalid_format' ],
    [ networks_kick => { user_id => 7 }, 'user_id', 'invalid_type' ],
    [ networks_kick => { user_id => $id{member}, reason => 'x' x 501 }, 'reason', 'too_long' ],
    [ networks_ban => { user_id => $id{member}, expires_in => 0 }, 'expires_in', 'out_of_range' ],
    [ networks_ban => { user_id => $id{member}, expires_in => 31536001 }, 'expires_in', 'out_of_range' ],
    [ networks_ban => { user_id => $id{member}, until => 'x' }, 'until', 'unknown_field' ],
    [ networks_unban => { user_id => undef }, 'user_id', undef ],
    [ networks_join => { note => 'x' x 501 }, 'note', 'too_long' ],
    [ networks_join => { note => "a\x{1}b" }, 'note', 'control_character' ],
) {
    my ($name, $body, $field, $code) = @$case;
    my $answer = $w->is(422, undef, "$name " . substr(encode_json($body), 0, 60), $name,
        as => 'moderator', @in, body => $body);
    my %error = map { $_->{field} => $_->{code} } @{ $answer->{errors} // [] };
    ok exists $error{$field}, "... $field";
    is $error{$field}, $code, "... is $code" if $code;
}
for my $case ([ { role => 'owner' }, 'invalid_choice' ], [ {}, 'required' ]) {
    my $answer = $w->is(422, undef, 'a role ' . encode_json($case->[0]), 'network_members_update',
        as => 'admin', path => [ $home->{network}, $id{member} ], body => $case->[0]);
    is $answer->{errors}[0]{code}, $case->[1], "... $case->[1]";
}
$w->is(422, undef, 'a ban of a year and a second', 'tenant_bans_create', as => 'admin',
    path => [ $home->{tenant}, $id{member} ], body => { expires_in => 31536001 });
for my $name (qw(network_requests_list network_bans_list)) {
    $w->is(422, undef, "$name: a cursor of another kind", $name, as => 'moderator', @in,
        query => { cursor => 'x' });
}
$w->is(422, undef, 'tenant_bans_list: a cursor of another kind', 'tenant_bans_list',
    as => 'moderator', path => [ $home->{tenant} ], query => { cursor => 'x' });

# -------------------------------------------------------------------- requests

my $club = $w->must(201, 'networks_create', as => 'admin', path => [ $home->{tenant} ],
    body => { name => 'Club', visibility => 'public', join_policy => 'approval' })->{id};
my @club = (path => [$club]);
my @asking = map { newcomer() } 1 .. 3;
for my $who (@asking) {
    my $asked = $w->is(202, undef, "$who asks", 'networks_join', as => $who, @club,
        body => { note => "  I am $who\nand play Go  " });
    ok !$asked->{joined}, '... and is not in';
}
$w->is(202, undef, 'asking twice is asking once', 'networks_join', as => $asking[0], @club,
    body => {});
my $page = $w->must(200, 'network_requests_list', as => 'moderator', @club, query => { limit => 2 });
is_deeply [ map { $_->{user_id} } @{ $page->{items} } ], [ @id{ @asking[ 0, 1 ] } ], 'a page, the oldest first';
is $page->{items}[0]{note}, "I am $asking[0]\nand play Go", '... with what was said';
$page = $w->must(200, 'network_requests_list', as => 'moderator', @club,
    query => { limit => 2, cursor => $page->{next_cursor} });
is_deeply [ map { $_->{user_id} } @{ $page->{items} } ], [ $id{ $asking[2] } ], 'the next page';
is $page->{next_cursor}, undef, '... is the last';
$w->is(403, 'forbidden', 'members do not see them', 'network_requests_list', as => 'member', @club);
$w->is(403, 'forbidden', 'whoever asks cannot answer', 'networks_approve', as => $asking[0], @club,
    body => { user_id => $id{ $asking[0] } });

my $in = $w->is(200, undef, 'approve', 'networks_approve', as => 'moderator', @club,
    body => { user_id => $id{ $asking[0] } });
is "$in->{user_id} $in->{role} $in->{status}", "$id{$asking[0]} member active", '... a member';
$w->must(200, 'peers_list', as => $asking[0], @club);
$w->is(422, undef, 'approve again', 'networks_approve', as => 'moderator', @club,
    body => { user_id => $id{ $asking[0] } });
$w->is(204, undef, 'deny', 'networks_deny', as => 'moderator', @club,
    body => { user_id => $id{ $asking[1] } });
$w->is(422, undef, 'deny again', 'networks_deny', as => 'moderator', @club,
    body => { user_id => $id{ $asking[1] } });
$w->is(403, 'membership_required', '... he is not in', 'peers_list', as => $asking[1], @club);
$w->is(202, undef, '... and may ask again', 'networks_join', as => $asking[1], @club, body => {});
$w->is(204, undef, 'a request is taken back', 'networks_leave', as => $asking[1], @club);
$w->is(422, undef, '... and cannot be granted', 'networks_approve', as => 'moderator', @club,
    body => { user_id => $id{ $asking[1] } });
$w->is(200, undef, 'an invite makes the request needless', 'networks_join', as => $asking[2], @club,
    body => { code => $w->must(201, 'invites_create', as => 'admin', path => [ $home->{tenant} ],
        body => { network_id => $club })->{code} });
is_deeply $w->must(200, 'network_requests_list', as => 'moderator', @club)->{items}, [],
    '... it is gone';

# a request below a role that is raised goes, and one that is there by chance is refused
$w->must(202, 'networks_join', as => $asking[1], @club, body => {});
$w->must(200, 'networks_update', as => 'admin', @club, body => { required_role => 'moderator' });
is_deeply $w->must(200, 'network_requests_list', as => 'admin', @club)->{items}, [],
    'a higher required_role ends requests of those below';
$s->sql("INSERT INTO goconnect.memberships (tenant_id, network_id, user_id, status) "
    . "VALUES ('$home->{tenant}', '$club', '$id{$asking[1]}', 'pending')");
$w->is(403, 'role_too_low', 'nobody lets in whose role is too low', 'networks_approve',
    as => 'admin', @club, body => { user_id => $id{ $asking[1] } });
$w->is(404, 'not_found', '... and he sees nothing', 'networks_get', as => $asking[1], @club);
$w->is(404, 'not_found', '... those who were in neither', 'peers_list', as => $asking[0], @club);

# ----------------------------------------------------------------------- kicks

my $kicked = newcomer();
$w->must(200, 'networks_join', as => $kicked, @in, body => {});
my $peer = $w->must(201, 'peers_create', as => "$kicked device", @in,
    body => { public_key => $s->wg_key });
my @kick = ('networks_kick', @in);
$w->is(204, undef, 'kick', @kick, as => 'moderator',
    body => { user_id => $id{$kicked}, reason => 'too loud' });
$w->is(422, undef, 'kick again', @kick, as => 'moderator', body => { user_id => $id{$kicked} });
ok !(grep { $_->{id} eq $peer->{id} } @{ $w->must(200, 'peers_list', as => 'member', @in)->{items} }),
    'his peer is gone';
$w->is(404, 'not_found', 'his device has nothing there', 'peers_list', as => "$kicked device", @in);
is_deeply $w->must(200, 'devices_netmap', as => "$kicked device",
    path => [ $w->{device}{$kicked}{id} ]), { networks => [],
    self => { device => $w->must(200, 'devices_get', as => "$kicked device",
        path => [ $w->{device}{$kicked}{id} ]), peers => [] } }, '... and an empty netmap';
$w->is(200, undef, 'he may come again', 'networks_join', as => $kicked, @in, body => {});
for my $case ([ moderator => 'moderator' ], [ moderator => 'admin' ], [ moderator => 'owner' ],
    [ admin => 'admin' ], [ admin => 'owner' ], [ owner => 'owner' ])
{
    my ($who, $whom) = @$case;
    $w->is(403, 'role_too_low', "$who cannot kick $whom", @kick, as => $who,
        body => { user_id => $id{$whom} });
    $w->is(403, 'role_too_low', "$who cannot ban $whom", 'networks_ban', as => $who, @in,
        body => { user_id => $id{$whom} });
    $w->is(403, 'role_too_low', "$who cannot ban $whom from the tenant", 'tenant_bans_create',
        as => $who, path => [ $home->{tenant}, $id{$whom} ], body => {});
}

# ------------------------------------------------------------------------ bans

my $bad = newcomer();
$w->must(200, 'networks_join', as => $bad, @in, body => {});
$peer = $w->must(201, 'peers_create', as => "$bad device", @in, body => { public_key => $s->wg_key });
my ($ban, $tx) = $w->is(201, undef, 'ban', 'networks_ban', as => 'moderator', @in,
    body => { user_id => $id{$bad}, reason => ' spam ', expires_in => 3600 });
is $tx->res->headers->location, "/v1/networks/$home->{network}/bans", '... where it is listed';
is "$ban->{username} $ban->{reason} $ban->{banned_by}", "$bad-x spam $id{moderator}", '... who, why, by whom';
like $ban->{until}, qr/^\d{4}-\d\d-\d\dT/, '... and until when';
is $ban->{network_id}, $home->{network}, '... where';
ok !(grep { $_->{id} eq $peer->{id} } @{ $w->must(200, 'peers_list', as => 'member', @in)->{items} }),
    'his peer is gone';
my $no = $w->is(403, 'banned', 'he cannot join', 'networks_join', as => $bad, @in, body => {});
like $no->{detail}, qr/^You are banned from this network until \d{4}-\d\d-\d\d \d\d:\d\d UTC\.$/, '... and hears until when';
my $code = $w->must(201, 'invites_create', as => 'admin', path => [ $home->{tenant} ],
    body => { network_id => $home->{network} })->{code};
$w->is(403, 'banned', '... by an invite neither', 'invites_accept', as => $bad, path => [$code]);
$w->is(403, 'banned', '... nor by a code', 'networks_join', as => $bad, @in, body => { code => $code });
$w->is(403, 'membership_required', '... nor with a device', 'peers_create', as => $bad, @in,
    body => { public_key => $s->wg_key, device_id => $w->{device}{$bad}{id} });
$w->is(404, 'not_found', '... nor as one', 'peers_create', as => "$bad device", @in,
    body => { public_key => $s->wg_key });
$w->is(409, 'not_joined', '... nor leave what he is not in', 'networks_leave', as => $bad, @in);
$w->is(403, 'membership_required', '... nor write', 'network_messages_create', as => $bad, @in,
    body => { content => 'x' });
is $w->must(200, 'networks_get', as => $bad, @in)->{joined}, Mojo::JSON->false,
    'a public network is still there to see';
$w->must(200, 'members_list', as => $bad, path => [ $home->{tenant} ]);

my $again = $w->is(200, undef, 'another ban replaces the first', 'networks_ban', as => 'admin', @in,
    body => { user_id => $id{$bad} });
is "$again->{banned_by} " . ($again->{until} // 'for good') . ' ' . ($again->{reason} // 'no reason'),
    "$id{admin} for good no reason", '... all of it';
is $w->must(200, 'network_members_list', as => 'moderator', @in, query => { limit => 100 })
    ->{items}[-1]{status}, 'banned', 'the staff sees him among the members';
ok !(grep { $_->{status} ne 'active' }
    @{ $w->must(200, 'network_members_list', as => 'member', @in)->{items} }), '... members do not';
$w->is(201, undef, 'a ban may come first', 'networks_ban', as => 'moderator', @in,
    body => { user_id => $id{outsider} });
$page = $w->must(200, 'network_bans_list', as => 'moderator', @in, query => { limit => 1 });
is $page->{items}[0]{user_id}, $id{$bad}, 'the list, a page';
$page = $w->must(200, 'network_bans_list', as => 'moderator', @in,
    query => { limit => 1, cursor => $page->{next_cursor} });
is $page->{items}[0]{user_id}, $id{outsider}, '... and the next';
is $page->{next_cursor}, undef, '... which is the last';
$w->is(422, undef, 'nobody is unknown', 'networks_ban', as => 'moderator', @in,
    body => { user_id => '00000000-0000-4000-8000-000000000000' });
$w->is(403, 'forbidden', 'members do not see the bans', 'network_bans_list', as => 'member', @in);

$w->is(204, undef, 'unban', 'networks_unban', as => 'moderator', @in, body => { user_id => $id{$bad} });
$w->is(422, undef, 'unban again', 'networks_unban', as => 'moderator', @in, body => { user_id => $id{$bad} });
$w->is(422, undef, 'a member is not banned', 'networks_unban', as => 'moderator', @in, body => { user_id => $id{member} });
$w->is(403, 'membership_required', 'he is not in by that', 'peers_list', as => $bad, @in);
$w->is(200, undef, 'he joins again', 'networks_join', as => $bad, @in, body => {});
$w->must(201, 'peers_create', as => "$bad device", @in, body => { public_key => $s->wg_key });

# an owner bans an admin from a network: the role of the tenant opens it no more
$w->is(201, undef, 'an owner bans an admin', 'networks_ban', as => 'owner', @in, body => { user_id => $id{admin} });
$w->is(403, 'membership_required', '... who reads it no more', 'peers_list', as => 'admin', @in);
$w->is(403, 'forbidden', '... nor changes it', 'networks_update', as => 'admin', @in, body => { description => 'mine' });
$w->is(403, 'forbidden', '... nor lifts his ban', 'networks_unban', as => 'admin', @in, body => { user_id => $id{admin} });
$w->is(403, 'role_too_low', '... nor has it lifted by a moderator', 'networks_unban', as => 'moderator', @in, body => { user_id => $id{admin} });
$w->must(204, 'networks_unban', as => 'owner', @in, body => { user_id => $id{admin} });
$w->must(200, 'networks_join', as => 'admin', @in, body => {});

# --------------------------------------------------------------- network roles

my $deputy = newcomer();
$w->must(200, 'networks_join', as => $deputy, @in, body => {});
my @deputy = ('network_members_update', path => [ $home->{network}, $id{$deputy} ]);
my ($member, $tx2) = $w->is(200, undef, 'a role in the network', @deputy, as => 'admin',
    body => { role => 'moderator' });
is $member->{role}, 'moderator', '... which he has';
my $etag = $tx2->res->headers->etag;
ok $etag, '... in a version';
$w->is(412, 'precondition_failed', 'a change of another version', @deputy, as => 'admin',
    body => { role => 'member' }, headers => { 'If-Match' => '"99"' });
$w->is(200, undef, 'the same role again changes nothing', @deputy, as => 'admin',
    body => { role => 'moderator' }, headers => { 'If-Match' => $etag });
is $w->must(200, 'networks_get', as => $deputy, @in)->{role}, 'moderator', 'his effective role there';
is $w->must(200, 'tenants_get', as => $deputy, path => [ $home->{tenant} ])->{role}, 'member',
    '... and no other in the tenant';
$w->is(200, undef, 'he does what a moderator does', 'network_bans_list', as => $deputy, @in);
$w->is(403, 'forbidden', '... and not what an admin does', @deputy, as => $deputy, body => { role => 'admin' });
$w->is(403, 'forbidden', '... nor anything in the tenant', 'tenant_bans_list', as => $deputy, path => [ $home->{tenant} ]);
$w->is(403, 'role_too_high', 'an admin makes no admins', @deputy, as => 'admin', body => { role => 'admin' });
$w->is(200, undef, 'an owner does', @deputy, as => 'owner', body => { role => 'admin' });
$w->is(403, 'role_too_low', 'then the admin cannot lower him', @deputy, as => 'admin', body => { role => 'member' });
$w->is(200, undef, 'he himself may', @deputy, as => $deputy, body => { role => 'moderator' });
$w->is(403, 'forbidden', '... once', @deputy, as => $deputy, body => { role => 'admin' });
$w->is(404, 'not_found', 'who is not in has no role', 'network_members_update', as => 'admin',
    path => [ $home->{network}, $id{pending} ], body => { role => 'member' });
$w->is(404, 'not_found', '... nor who is banned', 'network_members_update', as => 'admin',
    path => [ $home->{network}, $id{outsider} ], body => { role => 'member' });
$w->is(403, 'role_too_low', 'an owner has his role by the tenant', 'network_members_update',
    as => 'admin', path => [ $home->{network}, $id{owner} ], body => { role => 'moderator' });

# -------------------------------------------------------- bans from the tenant

my $gone = newcomer();
$w->must(200, 'networks_join', as => $gone, @in, body => {});
$peer = $w->must(201, 'peers_create', as => "$gone device", @in, body => { public_key => $s->wg_key });
my @tenant = (path => [ $home->{tenant}, $id{$gone} ]);
my ($out, $tx3) = $w->is(201, undef, 'a ban from the tenant', 'tenant_bans_create', as => 'moderator', @tenant,
    body => { reason => 'enough' });
is $out->{network_id}, undef, '... from all of it';
is $tx3->res->headers->location, "/v1/tenants/$home->{tenant}/bans", '... where it is listed';
$w->is(404, 'not_found', 'the tenant is not there for him', 'tenants_get', as => $gone, path => [ $home->{tenant} ]);
$w->is(404, 'not_found', '... nor its network', 'networks_get', as => $gone, @in);
$w->is(404, 'not_found', '... nor for his device', 'peers_list', as => "$gone device", @in);
$w->is(403, 'banned', '... an invite does not help', 'invites_accept', as => $gone,
    path => [ $w->must(201, 'invites_create', as => 'admin', path => [ $home->{tenant} ], body => {})->{code} ]);
$w->is(409, 'banned', '... he cannot be added', 'members_add', as => 'admin', path => [ $home->{tenant} ],
    body => { user_id => $id{$gone} });
ok !(grep { $_->{id} eq $peer->{id} } @{ $w->must(200, 'peers_list', as => 'member', @in)->{items} }),
    'his peer is gone';
$w->is(200, undef, 'another ban replaces the first', 'tenant_bans_create', as => 'admin', @tenant,
    body => { expires_in => 60 });
$w->is(201, undef, 'a ban may come first', 'tenant_bans_create', as => 'moderator',
    path => [ $home->{tenant}, $id{outsider} ], body => {});
$page = $w->must(200, 'tenant_bans_list', as => 'moderator', path => [ $home->{tenant} ], query => { limit => 1 });
is $page->{items}[0]{user_id}, $id{$gone}, 'the list';
is $w->must(200, 'tenant_bans_list', as => 'moderator', path => [ $home->{tenant} ],
    query => { limit => 1, cursor => $page->{next_cursor} })->{items}[0]{user_id}, $id{outsider}, '... of two';
$w->is(404, 'not_found', 'nobody is unknown', 'tenant_bans_create', as => 'moderator',
    path => [ $home->{tenant}, '00000000-0000-4000-8000-000000000000' ], body => {});
$w->is(403, 'forbidden', 'members do not see the bans', 'tenant_bans_list', as => 'member', path => [ $home->{tenant} ]);
$w->is(204, undef, 'lifted', 'tenant_bans_delete', as => 'moderator', @tenant);
$w->is(404, 'not_found', '... once', 'tenant_bans_delete', as => 'moderator', @tenant);
$w->is(200, undef, 'he comes again', 'invites_accept', as => $gone,
    path => [ $w->must(201, 'invites_create', as => 'admin', path => [ $home->{tenant} ], body => {})->{code} ]);

$s->stop;
done_testing;

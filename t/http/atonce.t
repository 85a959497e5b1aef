# What many do at once: one wins, or all, and nothing is left half done. The
# clients are real, each with a connection of its own.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use GoConnect::Server;
use GoConnect::World;
use Mojo::Promise;
use Mojo::UserAgent;
use Test::More;

my $s = GoConnect::Server->start(workers => 2, pool => 'read=2 depth=8 write=6 bulk=1');
my $w = GoConnect::World->new($s);
my ($home, $user) = @$w{qw(home user)};

# Users without a password, and so without its cost: "u1" ... "uN".
sub crowd {
    my ($n) = @_;
    for my $i (1 .. $n) {
        my ($id, $session) = split /\|/, $s->sql("WITH u AS (INSERT INTO goconnect.users (username, "
            . "password_hash) VALUES ('crowd-$i', 'x') RETURNING id) INSERT INTO goconnect.sessions "
            . "(user_id, expires_at) SELECT id, now() + interval '1 day' FROM u RETURNING user_id, id");
        $user->{"u$i"} = { id => $id, session_id => $session, name => "crowd-$i" };
        $user->{"u$i"}{token} = $w->forge("u$i");
    }
    return map { "u$_" } 1 .. $n;
}

# All these requests, each a list as for GoConnect::World::call, at once: the
# answers in their order, as [status, json]. Whoever is told that the server is
# busy (nothing was changed) comes again, as a client does.
sub at_once {
    my (@request) = @_;
    my @answer = all_sent(@request);
    my @busy = grep { ($answer[$_][1]{code} // '') eq 'busy' } 0 .. $#answer;
    @answer[@busy] = at_once(@request[@busy]) if @busy;
    return @answer;
}

sub all_sent {
    my (@request) = @_;
    my @answer;
    my @promise = map {
        my $n = $_;
        my ($name, %opt) = @{ $request[$n] };
        my $route = $w->{route}{$name};
        my %header = (%{ $opt{headers} // {} }, Connection => 'close',
            defined $opt{as} ? (Authorization => 'Bearer ' . $w->token($opt{as})) : ());
        my $ua = Mojo::UserAgent->new(request_timeout => 60, inactivity_timeout => 60);
        my $tx = $ua->build_tx($route->{method} => $s->url . $w->path($route, $opt{path}), \%header,
            $opt{body} ? (json => $opt{body}) : ());
        $ua->start_p($tx)->then(sub {
            my ($done) = @_;
            my $json = ($done->res->headers->content_type // '') =~ /json/ ? $done->res->json : undef;
            fail("$name keeps the contract: $_")
                for GoConnect::Contract::check($route, $done->res->code, $json, $done);
            $answer[$n] = [ $done->res->code, $json ];
            undef $ua;
        })->catch(sub { $answer[$n] = [ 0, { code => "@_" } ] });
    } 0 .. $#request;
    Mojo::Promise->all(@promise)->wait;
    return @answer;
}

sub tally {
    my (@answer) = @_;
    my %count;
    $count{ join ' ', $_->[0], $_->[1]{code} // () }++ for @answer;
    return join ', ', map { "$_: $count{$_}" } sort keys %count;
}

# What must be so at any time, whatever happened.
sub whole {
    my ($what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is $s->sql("SELECT count(*) FROM goconnect.memberships m WHERE m.network_id IS NOT NULL "
        . "AND m.status <> 'banned' AND NOT EXISTS (SELECT FROM goconnect.memberships t "
        . "WHERE t.tenant_id = m.tenant_id AND t.network_id IS NULL AND t.user_id = m.user_id "
        . "AND t.status = 'active')"), 0, "$what: nobody is in a network and not in its tenant";
    is $s->sql("SELECT count(*) FROM goconnect.peers p WHERE NOT EXISTS (SELECT FROM "
        . "goconnect.memberships m WHERE m.network_id = p.network_id AND m.user_id = p.user_id "
        . "AND m.status = 'active')"), 0, "$what: every peer has a membership";
    is $s->sql("SELECT count(*) FROM goconnect.tenants t WHERE t.deleted_at IS NULL AND NOT EXISTS "
        . "(SELECT FROM goconnect.memberships m WHERE m.tenant_id = t.id AND m.network_id IS NULL "
        . "AND m.role = 'owner' AND m.status = 'active')"), 0, "$what: every tenant has an owner";
    return;
}

my @crowd = crowd(20);

subtest 'a one-use invite' => sub {
    my $invite = $w->must(201, 'invites_create', as => 'owner', path => [ $home->{tenant} ],
        body => { max_uses => 1 });
    is tally(at_once(map { [ 'invites_accept', as => $_, path => [ $invite->{code} ] ] } @crowd)),
        '200: 1, 404 not_found: 19', 'lets one of twenty in';
    is $s->sql("SELECT uses FROM goconnect.invites WHERE id = '$invite->{id}'"), 1, '... and is used once';
};

subtest 'one Idempotency-Key' => sub {
    my @answer = at_once(map { [ 'tenants_create', as => 'outsider', body => { name => 'Only one' },
        headers => { 'Idempotency-Key' => '11111111-2222-4333-8444-00000000000a' } ] } 1 .. 20);
    is tally(@answer), '201: 20', 'twenty times the same request';
    my %id = map { $_->[1]{id} => 1 } @answer;
    is keys %id, 1, '... has one answer';
    is $s->sql("SELECT count(*) FROM goconnect.tenants WHERE name = 'Only one'"), 1, '... and one effect';
    @answer = at_once(map { [ 'tenants_create', as => 'outsider', body => { name => "Another $_" },
        headers => { 'Idempotency-Key' => '11111111-2222-4333-8444-00000000000b' } ] } 1 .. 10);
    is tally(@answer), '201: 1, 409 idempotency_conflict: 9', 'ten other requests with one key: one is made';
};

subtest 'PATCH by ETag' => sub {
    my %what = (
        'a tenant' => [ 'tenants_get', 'tenants_update', [ $home->{tenant} ],
            sub { { description => "by $_[0]" } } ],
        'a member' => [ 'members_get', 'members_update', [ $home->{tenant}, $user->{member}{id} ],
            sub { { role => $_[0] % 2 ? 'moderator' : 'admin' } } ],
        'an account' => [ 'auth_me', 'users_update', [],
            sub { { settings => { theme => $_[0] % 2 ? 'dark' : 'light' } } } ],
    );
    for my $name (sort keys %what) {
        my ($get, $patch, $path, $body) = @{ $what{$name} };
        my $etag = ($w->call($get, as => 'owner', path => $path))[2]->res->headers->etag;
        is tally(at_once(map { [ $patch, as => 'owner', path => $path, body => $body->($_),
            headers => { 'If-Match' => $etag } ] } 1 .. 10)),
            '200: 1, 412 precondition_failed: 9', "$name: one of ten who read the same version";
    }
    $w->must(200, 'members_update', as => 'owner', path => [ $home->{tenant}, $user->{member}{id} ],
        body => { role => 'member' });
};

subtest 'two owners' => sub {
    my ($one, $two) = @$user{qw(owner admin)};
    my @role = map { [ $home->{tenant}, $_->{id} ] } $one, $two;
    for my $round (1 .. 5) {
        $w->must(200, 'members_update', as => 'owner', path => $role[1], body => { role => 'owner' });
        my @answer = at_once(
            [ 'members_update', as => 'owner', path => $role[1], body => { role => 'member' } ],
            [ 'members_update', as => 'admin', path => $role[0], body => { role => 'member' } ]);
        is tally(@answer), '200: 1, 403 forbidden: 1', "demote each other ($round)";
        $s->sql("UPDATE goconnect.memberships SET role = 'owner' WHERE tenant_id = '$home->{tenant}' "
            . "AND network_id IS NULL AND user_id IN ('$one->{id}', '$two->{id}')");
        @answer = at_once(map { [ 'tenants_leave', as => $_, path => [ $home->{tenant} ] ] } qw(owner admin))
            if $round == 5;
        is tally(@answer), '204: 1, 409 last_owner: 1', '... leave at once' if $round == 5;
    }
    whole('after them');
    $s->sql("INSERT INTO goconnect.memberships (tenant_id, user_id, role, joined_at) SELECT "
        . "'$home->{tenant}', id, 'owner', now() FROM goconnect.users WHERE id IN ('$one->{id}', "
        . "'$two->{id}') ON CONFLICT DO NOTHING");
};

subtest 'handing over, twice' => sub {
    my $tenant = $w->must(201, 'tenants_create', as => 'owner', body => { name => 'Baton',
        visibility => 'public', access => 'open' })->{id};
    at_once(map { [ 'tenants_join', as => $_, path => [$tenant] ] } @crowd);
    is tally(at_once(map { [ 'tenants_transfer', as => 'owner', path => [$tenant],
        body => { user_id => $user->{$_}{id} } ] } @crowd[ 0 .. 9 ])),
        '200: 1, 403 forbidden: 9', 'one of ten';
    whole('after it');
};

subtest 'coming, going, kicked' => sub {
    my $tenant = $w->must(201, 'tenants_create', as => 'owner', body => { name => 'Rush',
        visibility => 'public', access => 'open' })->{id};
    my $network = $w->must(201, 'networks_create', as => 'owner', path => [$tenant],
        body => { name => 'lan', visibility => 'public', join_policy => 'open' })->{id};
    my %device = map { $_ => $s->device($user->{$_})->{id} } @crowd[ 0 .. 9 ];
    for my $round (1 .. 3) {
        my @answer = at_once(map {
            my $who = $_;
            ([ 'tenants_join', as => $who, path => [$tenant] ],
             [ 'networks_join', as => $who, path => [$network] ],
             [ 'peers_create', as => $who, path => [$network],
                 body => { device_id => $device{$who}, public_key => $s->wg_key } ],
             [ 'members_remove', as => 'owner', path => [ $tenant, $user->{$who}{id} ] ],
             $round == 3 ? [ 'tenants_leave', as => $who, path => [$tenant] ] : ());
        } @crowd[ 0 .. 9 ]);
        my @odd = grep { $_->[0] >= 500 || $_->[0] == 0 } @answer;
        is @odd, 0, "all is answered ($round): " . tally(@answer);
        whole("round $round");
    }
};

subtest 'one name' => sub {
    is tally(at_once(map { [ 'users_update', as => $_, body => { username => 'wanted' } ] } @crowd)),
        '200: 1, 409 username_taken: 19', 'is given to one of twenty';
};

subtest 'one password' => sub {
    my @answer = at_once(map { [ 'auth_password', as => 'member',
        body => { password => $user->{member}{password}, new_password => "the new one $_" } ] } 1 .. 5);
    is tally(@answer), '204: 1, 403 wrong_password: 4', 'is changed by one of five';
};

subtest 'one link' => sub {
    $s->sql("INSERT INTO goconnect.reset_links (hash, user_id, expires_at) VALUES ('\\x"
        . sha256_hex('link') . "', '$user->{pending}{id}', now() + interval '1 hour')");
    is tally(at_once(map { [ 'auth_reset', body => { token => 'link', password => "the new one $_" } ] } 1 .. 5)),
        '204: 1, 403 invalid_reset_token: 4', 'is used by one of five';
};

subtest 'server admins' => sub {
    for my $round (1 .. 3) {
        $s->sql("UPDATE goconnect.users SET server_admin = true, suspended_at = NULL WHERE id IN "
            . "('$user->{u1}{id}', '$user->{u2}{id}')");
        for my $who (qw(u1 u2)) {
            $s->sql("INSERT INTO goconnect.sessions (id, user_id, expires_at) VALUES "
                . "('$user->{$who}{session_id}', '$user->{$who}{id}', now() + interval '1 day') "
                . 'ON CONFLICT DO NOTHING');
        }
        is tally(at_once([ 'admin_users_suspend', as => 'u1', path => [ $user->{u2}{id} ] ],
            [ 'admin_users_suspend', as => 'u2', path => [ $user->{u1}{id} ] ])),
            '200: 1, 401 session_revoked: 1', "who suspend each other: one stays ($round)";
    }
    $s->sql("UPDATE goconnect.users SET suspended_at = NULL, server_admin = id = '$user->{u1}{id}'");
    $s->sql("INSERT INTO goconnect.sessions (id, user_id, expires_at) VALUES ('$user->{u1}{session_id}', "
        . "'$user->{u1}{id}', now() + interval '1 day') ON CONFLICT DO NOTHING");
    my @answer = at_once((map { [ 'devices_create', as => 'u3',
        body => { name => "d$_", platform => 'other', public_key => $s->wg_key } ] } 1 .. 10),
        [ 'admin_users_suspend', as => 'u1', path => [ $user->{u3}{id} ] ]);
    is $answer[-1][0], 200, 'one is suspended who makes devices';
    is scalar(grep { $_->[0] >= 500 || $_->[0] == 0 } @answer), 0, '... all is answered: ' . tally(@answer);
    is $s->sql("SELECT count(*) FROM goconnect.sessions WHERE user_id = '$user->{u3}{id}'"), 0,
        '... and has no session left';
};

$s->stop;
done_testing;

# Joins, bans, kicks, roles, leaves and deletions that cross each other: no
# deadlock, no 5xx, and whatever came first, nobody who is banned is in.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use GoConnect::World;
use List::Util qw(shuffle);
use Mojo::IOLoop;
use Mojo::JSON qw(decode_json);
use Test::More;

# Looking for deadlocks begins long before lock_timeout ends a wait, so that each
# is counted as one. A 503 `busy` without any is a slow machine: it is repeated.
my $pg = GoConnect::Cluster->shared;
my $database = $pg->create_database;
$pg->sql($database, "ALTER DATABASE \"$database\" SET deadlock_timeout = '20ms'");
my $s = GoConnect::Server->start(workers => 2, pool => 'read=2 depth=8 write=16 bulk=1',
    database => $database);
my $seed = $ENV{GOCONNECT_SEED} // time;
srand $seed;
diag "GOCONNECT_SEED=$seed";

my $ua = $s->_new_ua->max_connections(64);
my $busy = 0;
my %route = GoConnect::Routes::by_name();

# Requests at once: [name, path, token, body]; returns [status, code] of each.
sub together {
    my (@request) = @_;
    my @got = at_once(@request);
    my @busy = grep { $got[$_][1] eq 'busy' } 0 .. $#got;
    $busy += @busy;
    @got[@busy] = together(@request[@busy]) if @busy;
    return @got;
}

sub at_once {
    my (@request) = @_;
    my ($left, @got) = (scalar @request);
    for my $i (0 .. $#request) {
        my ($name, $path, $token, $body) = @{ $request[$i] };
        my $route = $route{$name} // die "no route $name";
        my $tx = $ua->build_tx($route->{method},
            $s->url . GoConnect::World::path(undef, $route, $path),
            { Authorization => "Bearer $token" }, $body ? (json => $body) : ());
        $ua->start($tx => sub {
            my (undef, $done) = @_;
            my $json = eval { decode_json($done->res->body) } // {};
            $got[$i] = [ $done->res->code // 0, $json->{code} // '' ];
            Mojo::IOLoop->stop if !--$left;
        });
    }
    Mojo::IOLoop->start;
    return @got;
}

sub must_all { my ($what, @request) = @_; my @bad = grep { $_->[0] >= 300 } together(@request); die "$what: @{$bad[0]}" if @bad; return }

my %user = map { $_ => $s->register($_) } qw(owner admin moderator), map { "user$_" } 1 .. 6;
my @common = map { "user$_" } 1 .. 6;
my %device = map { $_ => $s->device($user{$_}) } @common;
my $tenant = $s->must(201, POST => '/v1/tenants', { name => 'Arena' }, token => $user{owner}{token})->{id};

sub invite {
    my (%field) = @_;
    return $s->must(201, POST => "/v1/tenants/$tenant/invites", { max_uses => 1000, %field },
        token => $user{owner}{token})->{code};
}
my %code = map { $_ => invite(role => $_) } qw(member moderator admin);
$s->must(200, POST => "/v1/invites/$code{$_}/accept", undef, token => $user{$_}{token}) for qw(admin moderator);

sub network {
    my ($name, %field) = @_;
    return $s->must(201, POST => "/v1/tenants/$tenant/networks",
        { name => $name, visibility => 'public', join_policy => 'open', %field },
        token => $user{owner}{token})->{id};
}

my $key = sub { { public_key => $s->wg_key } };

# What must hold whenever nothing is under way.
sub consistent {
    my ($round) = @_;
    my %wrong = (
        'an active member or a request of somebody who is banned' => <<~'SQL',
            SELECT count(*) FROM goconnect.bans b JOIN goconnect.memberships m
                ON m.tenant_id = b.tenant_id AND m.network_id IS NOT DISTINCT FROM b.network_id
               AND m.user_id = b.user_id
             WHERE m.status <> 'banned'
            SQL
        'a ban without its membership' => <<~'SQL',
            SELECT count(*) FROM goconnect.bans b WHERE NOT EXISTS (
                SELECT FROM goconnect.memberships m WHERE m.tenant_id = b.tenant_id AND m.status = 'banned'
                   AND m.network_id IS NOT DISTINCT FROM b.network_id AND m.user_id = b.user_id)
            SQL
        'a banned membership without its ban' => <<~'SQL',
            SELECT count(*) FROM goconnect.memberships m WHERE m.status = 'banned' AND NOT EXISTS (
                SELECT FROM goconnect.bans b WHERE m.tenant_id = b.tenant_id
                   AND m.network_id IS NOT DISTINCT FROM b.network_id AND m.user_id = b.user_id)
            SQL
        'a member of a network who is not one of the tenant' => <<~'SQL',
            SELECT count(*) FROM goconnect.memberships m WHERE m.network_id IS NOT NULL AND m.status <> 'banned'
               AND NOT EXISTS (SELECT FROM goconnect.memberships t WHERE t.tenant_id = m.tenant_id
                    AND t.network_id IS NULL AND t.user_id = m.user_id AND t.status = 'active')
            SQL
        'a peer of somebody who is not in' => <<~'SQL',
            SELECT count(*) FROM goconnect.peers p WHERE NOT EXISTS (
                SELECT FROM goconnect.memberships m WHERE m.network_id = p.network_id AND m.user_id = p.user_id AND m.status = 'active')
            SQL
        'a member whose role is too low' => <<~'SQL',
            SELECT count(*) FROM goconnect.memberships m JOIN goconnect.networks n ON n.id = m.network_id
             WHERE m.status = 'active' AND goconnect.role_rank(goconnect.effective_role(m.tenant_id, n.id, m.user_id))
                   < goconnect.role_rank(n.required_role)
            SQL
        'a peer with another role than its user' => <<~'SQL',
            SELECT count(*) FROM goconnect.peers p
             WHERE p.role <> goconnect.effective_role(p.tenant_id, p.network_id, p.user_id)
            SQL
        'a tenant without an owner' => <<~'SQL',
            SELECT count(*) FROM goconnect.tenants t WHERE NOT EXISTS (SELECT FROM goconnect.memberships m
                WHERE m.tenant_id = t.id AND m.network_id IS NULL AND m.role = 'owner' AND m.status = 'active')
            SQL
        'a step of a map that is not from the one before' => <<~'SQL',
            SELECT count(*) FROM (SELECT (payload ->> 'base_version')::bigint AS base, lag(seq) OVER w AS before
                FROM goconnect.events WHERE kind = 'netmap_delta' WINDOW w AS (PARTITION BY topic ORDER BY seq)) x
             WHERE base <> coalesce(before, 0)
            SQL
        'a topic with a gap' => <<~'SQL',
            SELECT count(*) FROM (SELECT topic FROM goconnect.events GROUP BY topic HAVING count(*) <> max(seq)) x
            SQL
        'a map that its steps do not lead to' => <<~'SQL',
            WITH step AS (
                SELECT e.topic, e.seq, u.value ->> 'id' AS peer, u.value ->> 'role' AS role, u.value ->> 'public_key' AS key
                  FROM goconnect.events e, json_array_elements(e.payload -> 'upsert') u WHERE e.kind = 'netmap_delta'
                UNION ALL
                SELECT e.topic, e.seq, r.value, NULL, NULL
                  FROM goconnect.events e, json_array_elements_text(e.payload -> 'remove') r WHERE e.kind = 'netmap_delta'
            ), last AS (SELECT DISTINCT ON (topic, peer) topic, peer, role, key FROM step ORDER BY topic, peer, seq DESC),
            told AS (SELECT l.topic, l.peer::uuid, l.role, l.key FROM last l WHERE l.key IS NOT NULL),
            there AS (SELECT 'network:' || p.network_id AS topic, p.id AS peer, p.role, p.public_key AS key FROM goconnect.peers p)
            SELECT count(*) FROM ((TABLE told EXCEPT TABLE there) UNION ALL (TABLE there EXCEPT TABLE told)) x
            SQL
    );
    my @what = sort keys %wrong;
    my @found = split /\n/, $s->sql(join ' UNION ALL ',
        map { "SELECT '$what[$_]' FROM ($wrong{ $what[$_] }) AS x (n) WHERE n > 0" } 0 .. $#what);
    is "@found", '', "$round: nothing is in two states" or diag "seed $seed";
    return;
}

# All answers, none of them a 5xx; counts them by status.
my %answers;
sub all_answered {
    my ($round, $request, $got) = @_;
    my @bad;
    for my $i (0 .. $#$got) {
        my ($status, $code) = @{ $got->[$i] };
        $answers{ $request->[$i][0] }{$status}++;
        push @bad, "$request->[$i][0]: $status $code" if $status < 200 || $status >= 500 || $status == 401;
    }
    is join(', ', @bad), '', "$round: each is answered, none by a 5xx" or diag "seed $seed";
    return;
}

# ------------------------------------------------------- everything at once

sub wild_request {
    my (@net) = @_;
    my $who = $common[ rand @common ];
    my $net = $net[ rand @net ];
    my ($mine, $mod, $adm, $own) = ($user{$who}{token}, map { $user{$_}{token} } qw(moderator admin owner));
    my $id = { user_id => $user{$who}{id} };
    my @kind = (
        (sub { [ networks_join => [$net], $mine, {} ] }) x 3,
        (sub { [ peers_create => [$net], $device{$who}{token}, $key->() ] }) x 4,
        (sub { [ networks_ban => [$net], $mod, $id ] }) x 2,
        (sub { [ networks_unban => [$net], $mod, $id ] }) x 2,
        (sub { [ networks_kick => [$net], $mod, $id ] }) x 2,
        sub { [ networks_leave => [$net], $mine ] },
        sub { [ networks_approve => [$net], $adm, $id ] },
        sub { [ networks_deny => [$net], $adm, $id ] },
        sub { [ network_members_update => [ $net, $user{$who}{id} ], $own, { role => (qw(member moderator admin))[ rand 3 ] } ] },
        sub { [ members_update => [ $tenant, $user{$who}{id} ], $own, { role => (qw(member moderator))[ rand 2 ] } ] },
        sub { [ networks_update => [$net], $own, { required_role => (qw(member member moderator))[ rand 3 ] } ] },
        sub { [ networks_update => [$net], $adm, { join_policy => (qw(open open approval))[ rand 3 ] } ] },
        sub { [ tenant_bans_create => [ $tenant, $user{$who}{id} ], $mod, {} ] },
        (sub { [ tenant_bans_delete => [ $tenant, $user{$who}{id} ], $mod ] }) x 2,
        (sub { [ invites_accept => [ $code{member} ], $mine ] }) x 3,
        sub { [ tenants_leave => [$tenant], $mine ] },
        sub { [ users_update => [], $mine, { username => $who . (qw(a b c))[ rand 3 ] } ] },
        sub { [ network_messages_create => [$net], $device{$who}{token}, { content => 'here' } ] },
    );
    return $kind[ rand @kind ]->();
}

# Everybody is in the tenant again, as a member whom a moderator may ban.
sub all_back {
    together(map { [ tenant_bans_delete => [ $tenant, $user{$_}{id} ], $user{owner}{token} ] } @common);
    must_all('back into the tenant', map { [ invites_accept => [ $code{member} ], $user{$_}{token} ] } @common);
    must_all('as members', map { [ members_update => [ $tenant, $user{$_}{id} ], $user{owner}{token}, { role => 'member' } ] } @common);
    return;
}

# At least so many rounds, and as many more as chance takes to let one of each
# of these come through: without that the rounds show nothing of it.
my $rounds = $ENV{GOCONNECT_FULL} ? 60 : 12;
my @through = qw(networks_join networks_ban networks_kick networks_unban peers_create tenant_bans_create invites_accept);
sub missing {
    return grep { my $name = $_; !grep { $_ < 300 } keys %{ $answers{$name} } } @through;
}
for (my $round = 1; $round <= $rounds || missing() && $round <= 10 * $rounds; $round++) {
    my @net = map { network("wild $round $_") } 1, 2;
    all_back();
    must_all('in the networks', map { my $n = $_; map { [ networks_join => [$n], $user{$_}{token}, {} ] } @common } @net);
    for my $wave (1 .. 3) {
        my @request = map { wild_request(@net) } 1 .. 16;
        push @request, [ networks_delete => [ $net[0] ], $user{owner}{token} ] if $wave == 3;
        @request = shuffle @request;
        all_answered("round $round, wave $wave", \@request, [ together(@request) ]);
    }
    consistent("round $round");
}
is $s->sql('SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()'), 0,
    'no deadlock, not even one that a second try hid';
note explain \%answers;
is join(' ', missing()), '', 'of each kind some came through';

# -------------------------------------------- a ban in the middle of a joining

all_back();
my %won;
for my $round (1 .. ($ENV{GOCONNECT_FULL} ? 100 : 25)) {
    my $net = network("gate $round");
    my $code = invite(network_id => $net);
    my @request = map {
        my $u = $_;
        ([ networks_join => [$net], $user{$u}{token}, {} ], [ networks_join => [$net], $user{$u}{token}, { code => $code } ],
         [ peers_create => [$net], $device{$u}{token}, $key->() ],
         $round % 3 ? [ networks_ban => [$net], $user{moderator}{token}, { user_id => $user{$u}{id} } ]
                    : [ tenant_bans_create => [ $tenant, $user{$u}{id} ], $user{moderator}{token}, {} ]);
    } @common[ 0 .. 2 ];
    @request = shuffle @request;
    my @got = together(@request);
    all_answered("gate $round", \@request, \@got);
    is scalar(grep { $request[$_][0] =~ /ban/ && $got[$_][0] != 201 } 0 .. $#got), 0, '... each ban holds';
    $won{ $got[$_][0] }++ for grep { $request[$_][0] eq 'networks_join' } 0 .. $#got;
    my $in = join ', ', map { "'$user{$_}{id}'" } @common[ 0 .. 2 ];
    is $s->sql("SELECT count(*) FROM goconnect.memberships WHERE network_id = '$net' AND user_id IN ($in) AND status <> 'banned'")
        . $s->sql("SELECT count(*) FROM goconnect.peers WHERE network_id = '$net' AND user_id IN ($in)"),
        '00', '... nobody who is banned is in, or has a peer';
    my @again = together(map { [ peers_create => [$net], $device{$_}{token}, $key->() ] } @common[ 0 .. 2 ]);
    is scalar(grep { $_->[0] != 404 } @again), 0, '... nor gets one';
    if ($round % 3 == 0) {
        must_all('lifted', map { [ tenant_bans_delete => [ $tenant, $user{$_}{id} ], $user{owner}{token} ] } @common[ 0 .. 2 ]);
        must_all('back', map { [ invites_accept => [ $code{member} ], $user{$_}{token} ] } @common[ 0 .. 2 ]);
    }
}
consistent('at the gate');
ok $won{200} && $won{403}, 'some joins came before their ban, some after' or diag explain \%won;
is $s->sql('SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()'), 0, 'no deadlock';
note "$busy were told to come again";

undef $ua;
$s->stop;
$pg->drop_database($database);
done_testing;

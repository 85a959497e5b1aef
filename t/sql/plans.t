# How reads find their rows when there are many: in a database of ten thousand
# users and a hundred thousand messages (scripts/seed) no function that reads
# goes through a whole large table. Rates are judged by make bench.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Cluster;
use GoConnect::Routes;
use Test::More;

my $pg = GoConnect::Cluster->shared;
my $db = $pg->create_database;
my $conninfo = 'host=' . $pg->dir . " dbname=$db user=postgres";

sub seed {
    local @ENV{qw(SCALE DATABASE)} = @_;
    my $said = `'$GoConnect::Cluster::ROOT/scripts/seed' 2>&1`;
    return ($? >> 8, $said);
}

for my $bad ('', 'x', '0.001', '6', '1e9', '-1') {
    my ($status, $said) = seed($bad || 'none', $conninfo);
    is $status, 1, "SCALE='$bad' is refused";
    like $said, qr/from 0\.01 to 5/, '... and why';
}
my ($status, $said) = seed(0.1, $conninfo);
is $status, 0, 'the database is filled' or BAIL_OUT($said);
like +(seed(0.1, $conninfo))[1], qr/has been filled before/, '... once';

sub column { return split /\n/, $pg->sql($db, $_[0]) }

# The seed writes with foreign keys off; so they are checked here.
my @orphan;
for my $row (column(<<~'SQL')) {
    SELECT c.conname, c.conrelid::regclass, c.confrelid::regclass,
           (SELECT string_agg(format('x.%I = y.%I', a.attname, b.attname), ' AND ' ORDER BY k.n)
              FROM unnest(c.conkey, c.confkey) WITH ORDINALITY AS k (a, b, n)
              JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.a
              JOIN pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = k.b),
           (SELECT string_agg(format('x.%I IS NOT NULL', a.attname), ' AND ')
              FROM unnest(c.conkey) k (a)
              JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.a)
      FROM pg_constraint c
     WHERE c.contype = 'f' AND c.connamespace = 'goconnect'::regnamespace
    SQL
    my ($name, $from, $to, $same, $there) = split /\|/, $row;
    push @orphan, $name
        if $pg->sql($db, "SELECT EXISTS (SELECT FROM $from x WHERE $there AND NOT EXISTS "
            . "(SELECT FROM $to y WHERE $same))") eq 't';
}
is_deeply \@orphan, [], 'every foreign key of the seed leads somewhere';
is_deeply [ column('SELECT p.id FROM goconnect.peers p WHERE p.role IS DISTINCT FROM '
    . 'goconnect.effective_role(p.tenant_id, p.network_id, p.user_id)') ], [],
    'every peer has the role of its user';

# An audit trail of a hundred thousand rows, chained but for the last.
$pg->sql($db, <<~SQL);
    INSERT INTO goconnect.audit_log (tenant_id, actor_id, action, created_at, chain_number, hash, key_id)
    SELECT md5('seed/tenant/1')::uuid, md5('seed/user/' || i % 100 + 1)::uuid,
           CASE WHEN i % 1000 = 0 THEN 'seed.rare' ELSE 'seed.row' END,
           now() - (100000 - i) * interval '5 minutes', i, sha256('x'), 'k'
      FROM generate_series(1, 100000) i;
    INSERT INTO goconnect.audit_log (tenant_id, action) VALUES (md5('seed/tenant/1')::uuid, 'seed.last');
    INSERT INTO goconnect.audit_chains (chain, number, hash, signed_at, key_id, signature)
    VALUES (md5('seed/tenant/1')::uuid, 100000, sha256('x'), 0, 'k', sha256('x'));
    ANALYZE goconnect.audit_log, goconnect.audit_chains;
    SQL

my %large = map { $_ => 1 } column(<<~'SQL');
    SELECT relname FROM pg_class
     WHERE relnamespace = 'goconnect'::regnamespace AND relkind = 'r' AND relpages > 100
    SQL
cmp_ok keys %large, '>', 5, 'there are large tables: ' . join ' ', sort keys %large;

my $id = sub { "md5('seed/$_[0]/$_[1]')::uuid" };
my %at = (tenant => $id->(tenant => 1), network => $id->(network => 1), user => $id->(user => 10),
    device => $id->(device => 1));
sub ctx { "ROW(@{[ $id->(user => $_[0]) ]}, md5('plans/$_[0]')::uuid, NULL, NULL, NULL, NULL, NULL)::api_1.ctx" }

# The arguments after ctx of each function that reads.
my $page = 'NULL, NULL';
my $cursor = "50, (extract(epoch FROM now() - interval '2 hours') * 1000000)::bigint || '_' || $at{user}";
my %call = (
    auth_me => [''],
    auth_sessions_list => [ $page ],
    admin_users_list => [ map { "$_, $page" } 'NULL', "'user-00'", "'ada\@example.org'" ],
    admin_tenants_list => [ map { "$_, $page" } 'NULL', "'community 99'" ],
    admin_stats => [''],
    tenants_list => [ "'mine', NULL, $page", "'public', NULL, $page", "'public', 'community 99', $page",
        "'public', 'z', $page",
        "'public', NULL, $cursor" ],
    tenants_get => [ $at{tenant} ],
    members_list => [ "$at{tenant}, $page", "$at{tenant}, $cursor" ],
    members_get => [ "$at{tenant}, " . $id->(user => 1) ],
    networks_list => [ "$at{tenant}, $page" ],
    networks_get => [ $at{network} ],
    network_members_list => [ "$at{network}, $page", "$at{network}, $cursor" ],
    invites_list => [ "$at{tenant}, $page" ],
    invites_preview => [ q{encode(sha256('seed/invite/1'), 'hex')} ],
    devices_list => [ $page ],
    devices_get => [ $at{device} ],
    devices_netmap => [ $id->(device => 2) ],
    peers_list => [ "$at{network}, $page", "$at{network}, 50, 'device-500'" ],
    peers_config => [ $id->('peer/2' => 2) ],
    tenant_messages_list => [ map { "$at{tenant}, $_, NULL" } 'NULL, NULL', '5000, NULL', 'NULL, 5000' ],
    network_messages_list => [ map { "$at{network}, $_, NULL" } 'NULL, NULL', '5000, NULL', 'NULL, 5000' ],
    networks_mesh => [ "@{[ $id->(network => 2) ]}, NULL" ],
    network_requests_list => [ "$at{network}, $page" ],
    network_bans_list => [ "$at{network}, $page" ],
    tenant_bans_list => [ "$at{tenant}, $page" ],
    enrollment_keys_list => [ "$at{tenant}, $page" ],
    reservations_list => [ "$at{network}, $page" ],
    rules_get => [ $at{network} ],
    relays_list => [ $page ],
    read_marks_list => [''],
    tenant_read_mark_get => [ $at{tenant} ],
    network_read_mark_get => [ $at{network} ],
    ready => { no_ctx => 1, with => [''] },
    audit_list => [ map { "$at{tenant}, $_, $page" } 'NULL, NULL, NULL, NULL', "$at{user}, NULL, NULL, NULL",
        "NULL, 'seed.rare', NULL, NULL", "$at{user}, 'seed.rare', NULL, NULL",
        "NULL, NULL, '2020-01-01T00:00:00Z', '2020-01-02T00:00:00Z'" ],
    audit_verify => [ "$at{tenant}, NULL", "$at{tenant}, '99000'" ],
    admin_audit_list => [ "NULL, NULL, NULL, NULL, $page" ],
    admin_audit_verify => ['NULL'],
);

# A device of network 2, and a peer there that rotates its key.
my $key = 'x' x 42 . 'A=';
$pg->sql($db, "UPDATE goconnect.peers SET next_public_key = '$key' WHERE id = " . $id->('peer/2' => 2) . ';'
    . "INSERT INTO goconnect.sessions (id, user_id, device_id, expires_at) SELECT md5('plans/device')::uuid, "
    . "p.user_id, p.device_id, now() + interval '1 day' FROM goconnect.peers p WHERE p.network_id = "
    . $id->(network => 2) . ' AND p.id <> ' . $id->('peer/2' => 2) . ' LIMIT 1');
my $device = '(SELECT ROW(s.user_id, s.id, s.device_id, NULL, NULL, NULL, NULL)::api_1.ctx '
    . "FROM goconnect.sessions s WHERE s.id = md5('plans/device')::uuid)";

# What is done most, beside the reads.
my %write = (
    network_messages_create => [ qq{$at{network}, '{"content": "x"}'} ],
    tenant_messages_create => [ qq{$at{tenant}, '{"content": "x"}'} ],
    ws_hello => [''],
    ws_typing => [ "$at{tenant}, NULL", "NULL, $at{network}" ],
    ws_rotation_ack => { with => [ "$device, " . $id->('peer/2' => 2) . ", '$key'" ] },
    ws_subscribe => [ qq{jsonb_build_array(jsonb_build_object('topic', 'network:' || $at{network}, 'seq', 9000))} ],
    ws_netmap => [ $id->(network => 2) ],
    ws_presence => { with => [ qq{gen_random_uuid(), jsonb_build_object('since', 1, 'online', ARRAY[$at{device}],
        'users_online', ARRAY[$at{user}], 'offline', ARRAY[$at{device}], 'users_offline', ARRAY[$at{user}])} ] },
    ws_presence_state => { with => [ "jsonb_build_array('network:' || @{[ $id->(network => 2) ]})" ] },
    audit_take => { with => ['gen_random_uuid()'] },
    audit_verify_range => [ "$at{tenant}, 99000" ],
);

# Who has a thousand peers joins them with all users, rightly; so whole maps are
# looked at in a network of ten.
my %as = map { $_ => 2 } qw(devices_netmap networks_mesh peers_config ws_netmap);
$pg->sql($db, "INSERT INTO goconnect.sessions (id, user_id, expires_at) SELECT md5('plans/$_')::uuid, "
    . $id->(user => $_) . ", now() + interval '1 day'") for 1, 2;

# the heartbeat does not carry the sweep here
$pg->sql($db, "UPDATE goconnect.chores SET done_at = now() + interval '1 day' WHERE name = 'sweep'");

$pg->sql($db, "UPDATE goconnect.users SET server_admin = true WHERE id = " . $id->(user => 1));

my %read = map { ($_->{finish} => 1) } grep { $_->{finish} && $_->{lane} eq 'READ' } GoConnect::Routes::all();
for my $function (sort(keys %read), sort keys %write) {
    my $case = $call{$function} // $write{$function};
    ok $case, "$function has arguments here" or next;
    my $with = ref $case eq 'HASH' ? $case->{with} : $case;
    for my $n (0 .. $#$with) {
        my $arguments = join ', ', grep { length } ref $case eq 'HASH' ? () : ctx($as{$function} // 1), $with->[$n];
        my ($out, undef, $plans) = $pg->psql($db, "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; "
            . 'SET auto_explain.log_nested_statements = on; SET client_min_messages = log; '
            . "SELECT status FROM api_1.$function($arguments)");
        my $what = "$function" . ($n ? " ($n)" : '');
        like $out, qr/^2\d\d$/m, "$what answers" or diag $plans;
        like $plans, qr/Query Text/, "$what: its plans are seen";
        my %whole = map { $_ => 1 } grep { $large{$_} } $plans =~ /Seq Scan on (?:goconnect\.)?(\w+)/g;
        is join(' ', sort keys %whole), '', "$what goes through no large table" or diag $plans;
    }
}

$pg->drop_database($db);
done_testing;

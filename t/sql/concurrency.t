#!/usr/bin/perl
# What happens at once: joins, last owners, one key, one topic, commits that
# are late. Each caller has a connection of its own.

use strict;
use warnings;
use lib 't/lib';
use File::Temp qw(tempdir);
use Test::More;
use GoConnect::Cluster;

my $pg = GoConnect::Cluster->shared;
my $db = $pg->create_database;
my $dir = tempdir(CLEANUP => 1);
my $n = 0;

# Runs SQL texts in as many sessions of the module's role at once; returns what
# each printed.
sub together {
    my (@sql) = @_;
    my @job;
    for my $text (@sql) {
        my $out = "$dir/" . ++$n;
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            open STDOUT, '>', $out;
            open STDERR, '>&', \*STDOUT;
            exec GoConnect::Cluster::bin_dir() . '/psql', '-X', '-A', '-t', '-q',
                '-d', $pg->conninfo($db, 'goconnect'), '-c', $text;
        }
        push @job, [ $pid, $out ];
    }
    return map {
        waitpid $_->[0], 0;
        my $said = do { local (@ARGV, $/) = $_->[1]; <> } // '';
        $said =~ s/\s+\z//;
        $said;
    } @job;
}

# A session of psql that is fed line by line, in a transaction of its own.
sub session {
    my $out = "$dir/" . ++$n;
    open my $in, '|-', GoConnect::Cluster::bin_dir() . '/psql -X -A -t -q -d '
        . quotemeta($pg->conninfo($db, 'goconnect')) . " >$out 2>&1" or die;
    $in->autoflush(1);
    select undef, undef, undef, 0.01 until -e $out;
    my $step = 0;
    return sub {
        my ($sql) = @_;
        return close $in if !defined $sql;
        my $mark = 'done ' . ++$step;
        print $in "$sql;\n\\echo $mark\n";
        my $text = '';
        for (1 .. 400) {
            $text = do { local (@ARGV, $/) = $out; <> } // '';
            last if $text =~ /^\Q$mark\E$/m;
            select undef, undef, undef, 0.025;
        }
        $text =~ s/.*^done ${\($step - 1)}$//ms if $step > 1;
        $text =~ s/^\Q$mark\E$//m;
        $text =~ s/^\s+|\s+\z//g;
        return $text;
    };
}

$pg->sql($db, do { local (@ARGV, $/) = 't/sql/lib/fixtures.psql'; <> });
$pg->sql($db, 'GRANT USAGE ON SCHEMA t TO goconnect');

sub ask { return $pg->sql($db, $_[0]) }

my $alice = ask(q{SELECT t.user('alice')});
my $acme = ask(qq{SELECT t.tenant('$alice', '{"name": "Acme"}')});
my $lan = ask(qq{SELECT t.network('$alice', '$acme',
    '{"name": "lan", "cidr": "10.7.0.0/24", "visibility": "public", "join_policy": "open"}')});

# a hundred devices join at once
my @device = split /\n/, ask(<<~SQL);
    WITH users AS MATERIALIZED (SELECT t.user('user' || i) AS c, i FROM generate_series(1, 100) i),
    joined AS MATERIALIZED (SELECT c, i, t.join('$alice', c, '$acme', '$lan') FROM users)
    SELECT t.device(c, 'device' || i) FROM joined
    SQL
is @device, 100, 'a hundred devices';
my @said = map { together(@$_) } map {
    my $from = $_;
    [ map { my $i = $_; "SELECT status, body ->> 'ip_address' FROM api_1.peers_create('$device[$i]', '$lan',
        jsonb_build_object('public_key', encode(sha256('key$i'), 'base64')))" } $from .. $from + 49 ]
} 0, 50;
my %address = map { /^201\|(.+)$/ ? ($1 => 1) : () } @said;
is keys %address, 100, '... join at once and get a hundred addresses'
    or diag join "\n", grep { !/^201/ } @said;
is ask("SELECT count(*) FROM goconnect.peers WHERE network_id = '$lan'"), 100, '... which stand in the table';
is ask("SELECT max(high_water) FROM goconnect.networks WHERE id = '$lan'"), 100, '... without a gap';
is ask("SELECT count(*) || ' ' || max(seq) FROM goconnect.events WHERE topic = 'network:$lan' AND kind = 'netmap_delta'"),
    '100 ' . ask("SELECT seq FROM goconnect.topics WHERE id = 'network:$lan'"), '... and in the map\'s steps';
is ask(<<~SQL), '0', '... each from the one before';
    SELECT count(*) FROM (
        SELECT payload ->> 'base_version' AS base,
               lag(payload ->> 'version') OVER (ORDER BY seq) AS before
          FROM goconnect.events WHERE topic = 'network:$lan' AND kind = 'netmap_delta') x
     WHERE before IS NOT NULL AND base <> before
    SQL

# one key, ten takers, in as many networks
my @taker = map { "SELECT coalesce(body ->> 'code', status::text) FROM api_1.peers_create('$device[$_]', '$lan',
    jsonb_build_object('public_key', encode(sha256('the one key'), 'base64')))" } 0 .. 9;
my %answer;
$answer{ /(200|key_in_use|peer_keys_pkey)/ ? $1 : $_ }++ for together(@taker);
is $answer{200}, 1, 'one key goes to one of ten who take it at once' or diag explain \%answer;
is(($answer{key_in_use} // 0) + ($answer{peer_keys_pkey} // 0), 9, '... the others are told');

# reservations, joins and rotations at once: no address or key goes to two
my $dense = ask(qq{SELECT t.network('$alice', '$acme',
    '{"name": "dense", "cidr": "10.8.0.0/27", "visibility": "public", "join_policy": "open"}')});
ask("SELECT api_1.networks_join('" . owner_of($device[$_]) . "', '$dense', '{}')") for 60 .. 79;
my @dense = together(
    (map { "SELECT status, body ->> 'ip_address' FROM api_1.reservations_create('$alice', '$dense', '{\"name\": \"held$_\"}')" } 0 .. 9),
    (map { my $i = $_; "SELECT status, body ->> 'ip_address' FROM api_1.peers_create('$device[$i]', '$dense',
        jsonb_build_object('public_key', encode(sha256('dense$i'), 'base64')))" } 60 .. 79));
my %dense = map { /^201\|(.+)$/ ? ($1 => 1) : () } @dense;
is keys %dense, 30, 'ten reservations and twenty joins at once fill a /27 with thirty addresses'
    or diag join "\n", @dense;
is ask("SELECT body ->> 'code' FROM api_1.reservations_create('$alice', '$dense', '{\"name\": \"late\"}')"),
    'network_full', '... which is full then';

my @peer = split /\n/, ask("SELECT id FROM goconnect.peers WHERE network_id = '$dense' ORDER BY ip_address LIMIT 10");
my %of = map { my ($p, $d) = split /\|/; ($p => $d) } split /\n/, ask("SELECT id || '|' || device_id FROM goconnect.peers WHERE network_id = '$dense'");
my %ctx = map { (/^\([^,]+,[^,]+,([^,]+)/)[0] => $_ } @device;
my @rotated = together(map {
    my $c = $ctx{ $of{$_} };
    ("SELECT coalesce(body ->> 'code', status::text) FROM api_1.peers_rotate('$c', '$_', jsonb_build_object('public_key', encode(sha256('fought over'), 'base64')))") x 2
} @peer[ 0 .. 4 ]);
is scalar(grep { $_ eq '200' } @rotated), 2, 'one next key goes to one of five peers, said twice'
    or diag join "\n", @rotated;
my ($won) = split /\n/, ask("SELECT peer_id FROM goconnect.peer_keys WHERE kind = 'next'");
my @committed = together(map { "SELECT coalesce(body ->> 'code', status::text) FROM api_1.peers_rotate_commit('$ctx{ $of{$_} }', '$_', jsonb_build_object('public_key', encode(sha256('fought over'), 'base64')))" } ($won) x 5, @peer[ 0 .. 4 ]);
is scalar(grep { $_ eq '200' } @committed), 6, '... and is committed by it alone, however often'
    or diag join "\n", @committed;

# gateways and rules: one of those who ask at once
ask("UPDATE goconnect.peers SET gateway_offered = true WHERE network_id = '$dense'");
my @gateway = together(map { "SELECT coalesce(body ->> 'code', status::text) FROM api_1.peers_update('$alice', '$_', '{\"gateway\": true}')" } @peer);
is scalar(grep { $_ eq '200' } @gateway), 10, 'ten gateways are named at once' or diag join "\n", @gateway;
is ask("SELECT count(*) FROM goconnect.peers WHERE network_id = '$dense' AND gateway"), 1, '... and one is it';
my @rules = together(map { "SELECT status FROM api_1.rules_put(ROW(('$alice'::api_1.ctx).user_id, ('$alice'::api_1.ctx).session_id, NULL, NULL, 'r', '\"1\"', NULL)::api_1.ctx, '$dense', '{\"rules\": [{\"action\": \"deny\", \"source\": \"tag:t$_\"}]}')" } 0 .. 9);
is join(' ', sort @rules), '200' . ' 412' x 9, 'of ten who replace the same rules one wins' or diag join "\n", @rules;
my @settings = together(map { "SELECT status FROM api_1.networks_update(ROW(('$alice'::api_1.ctx).user_id, ('$alice'::api_1.ctx).session_id, NULL, NULL, 'r', '\"' || (SELECT rev FROM (SELECT " . ask("SELECT rev FROM goconnect.networks WHERE id = '$dense'") . " AS rev) x) || '\"', NULL)::api_1.ctx, '$dense', '{\"settings\": {\"mtu\": 13$_}}')" } 10 .. 19);
is join(' ', sort @settings), '200' . ' 412' x 9, '... nor are settings lost' or diag join "\n", @settings;
is ask(<<~SQL), '0', 'every step of the map follows the one before';
    SELECT count(*) FROM (
        SELECT payload ->> 'base_version' AS base,
               lag(payload ->> 'version') OVER (ORDER BY seq) AS before
          FROM goconnect.events WHERE topic = 'network:$dense' AND kind = 'netmap_delta') x
     WHERE before IS NOT NULL AND base <> before
    SQL

# the pool's last ranges
ask(q{DELETE FROM goconnect.cidr_pool WHERE network_id IS NULL AND block NOT IN
      (SELECT block FROM goconnect.cidr_pool WHERE network_id IS NULL ORDER BY block LIMIT 5)});
my @pool = together(map { "SELECT status || ' ' || coalesce(body ->> 'cidr', body ->> 'code') FROM api_1.networks_create('$alice', '$acme', '{\"name\": \"pool$_\"}')" } 1 .. 12);
my %block = map { /^201 (.+)$/ ? ($1 => 1) : () } @pool;
is keys %block, 5, 'twelve who want a range of a pool of five get five' or diag join "\n", @pool;
is scalar(grep { $_ eq '409 pool_exhausted' } @pool), 7, '... and seven are told';
ask(q{INSERT INTO goconnect.cidr_pool (block) SELECT set_masklen(('100.64.0.0'::inet + i * 256)::cidr, 24)
      FROM generate_series(0, 16383) i ON CONFLICT DO NOTHING});

# the last place of an invite
my $code = ask(q{SELECT t.hash('scarce')});
ask(qq{SELECT api_1.invites_create('$alice', '$acme', jsonb_build_object('code_hmac', '$code', 'max_uses', 3))});
my @guest = split /\n/, ask(q{SELECT t.user('guest' || i) FROM generate_series(1, 10) i});
my @status = together(map { "SELECT status FROM api_1.invites_accept('$_', '$code')" } @guest);
is scalar(grep { $_ eq '200' } @status), 3, 'an invite for three lets three in, of ten at once';
is scalar(grep { $_ eq '404' } @status), 7, '... and the rest sees nothing';

# one idempotency key, ten senders
my $key = '11111111-2222-4333-8444-555555555555';
my $keyed = $alice =~ s/,\)$/,$key)/r;
my @id = together(map { "SELECT body ->> 'id' FROM api_1.network_messages_create('$keyed', '$lan', '{\"content\": \"once\"}')" } 1 .. 10);
my %id = map { $_ => 1 } @id;
is keys %id, 1, 'ten requests with one key get one answer' or diag join "\n", @id;
is ask("SELECT count(*) FROM goconnect.messages WHERE content = 'once'"), 1, '... and make one message';

# one hot topic
my @talk = map { my $c = $device[$_]; join ';', map { "SELECT status FROM api_1.network_messages_create('$c', '$lan', '{\"content\": \"x\"}')" } 1 .. 25 } 0 .. 7;
together(@talk);
is ask("SELECT count(*) || ' ' || max(number) || ' ' || min(number) FROM goconnect.messages WHERE network_id = '$lan'"),
    '201 201 1', 'eight who talk at once: numbers without a gap';
is ask("SELECT count(*) - max(seq) FROM goconnect.events WHERE topic = 'network:$lan'"), 0, '... and seq too';
is ask("SELECT seq - (SELECT max(seq) FROM goconnect.events WHERE topic = 'network:$lan') FROM goconnect.topics WHERE id = 'network:$lan'"),
    0, '... which is the topic\'s';

# two owners who go at once
my $bob = ask(q{SELECT t.user('bob')});
ask("SELECT t.join('$alice', '$bob', '$acme', NULL, 'owner')");
my ($aid, $bid) = map { /^\(([^,]+)/ } $alice, $bob;
my @demoted = map {
    my $id = $_;
    my $pid = fork // die;
    if (!$pid) {
        my (undef, $error) = $pg->psql($db, <<~SQL);
            BEGIN;
            UPDATE goconnect.memberships SET role = 'admin'
             WHERE tenant_id = '$acme' AND network_id IS NULL AND user_id = '$id';
            SELECT pg_sleep(0.3);
            COMMIT;
            SQL
        require POSIX;
        POSIX::_exit($error =~ /needs an owner/ ? 1 : $error ? 2 : 0);
    }
    $pid;
} $aid, $bid;
my @left = sort map { waitpid $_, 0; $? >> 8 } @demoted;
is_deeply \@left, [ 0, 1 ], 'of two owners who step down at once one stays';

# a sweep: a transaction that took its id early and commits late
my $start = ask(q{SELECT body ->> 'next' FROM api_1.ws_sweep(NULL)});
my $late = session();
$late->('BEGIN');
$late->("SELECT status FROM api_1.tenant_messages_create('$alice', '$acme', '{\"content\": \"late\"}')");
my ($early) = together("SELECT status FROM api_1.network_messages_create('$device[0]', '$lan', '{\"content\": \"early\"}')");
is $early, 201, 'a transaction that began later and is done';
# as if there had been no checkpoint meanwhile (others here drop databases)
my $pinned = sub { return "regexp_replace('$_[0]', '[0-9]+\$', (SELECT pg_wal_lsn_diff(checkpoint_lsn, '0/0')::text FROM pg_control_checkpoint()))" };
my $sweep_from = sub { return $pg->sql($db, "SELECT body ->> 'next' || '|' || (body ->> 'more') || '|' || coalesce((SELECT string_agg(e #>> '{data,content}', ',') FROM json_array_elements(body -> 'events') e), '') FROM api_1.ws_sweep($_[0])") };
my $sweep = sub { return $sweep_from->($pinned->($_[0])) };
my ($next, $more, $seen) = split /\|/, $sweep->($start), -1;
is $seen, 'early', 'the sweep sees what is committed';
is $more, 'false', '... and no more';
($next, $more, $seen) = split /\|/, $sweep->($next), -1;
is $seen, '', '... nothing twice';
$late->('COMMIT');
$late->();
($next, $more, $seen) = split /\|/, $sweep->($next), -1;
is $seen, 'late', '... and what committed late is not lost, though its id is older';
($next, $more, $seen) = split /\|/, $sweep->($next), -1;
is $seen, '', '... nor seen twice';

# a sweep of many events, while another transaction is open all the time
my $open = session();
$open->('BEGIN');
$open->("SELECT status FROM api_1.tenant_messages_create('$alice', '$acme', '{\"content\": \"open\"}')");
ask("SELECT api_1.network_messages_create('$device[1]', '$lan', jsonb_build_object('content', 'many' || i)) FROM generate_series(1, 300) i")
    for 1 .. 10;
my ($pages, $count, %twice) = (0, 0);
do {
    $pages++;
    my $row = $pg->sql($db, 'SELECT body FROM api_1.ws_sweep(' . $pinned->($next) . ')');
    ($next) = $row =~ /"next" : "([^"]*)"/;
    ($more) = $row =~ /"more" : (\w+)/;
    $twice{$1}++, $count++ while $row =~ /"content" : "[^"]*".*?"number" : (\d+)/g;
} while ($more eq 'true' && $pages < 20);
is $count, 3000, 'a long sweep comes in pages and brings all';
ok $pages >= 2 && $pages <= 6, "... $pages of them";
is scalar(grep { $_ > 1 } values %twice), 0, '... nothing twice';
$open->('COMMIT');
$open->();
($next, $more, $seen) = split /\|/, $sweep->($next), -1;
is $seen, 'open', '... and what was open comes after';

# a crash gives the id of what was rolled back just before it once more: a sweep
# that counts it as over finds its new owner's event all the same
ask("SELECT api_1.tenant_messages_create('$alice', '$acme', '{\"content\": \"reborn\"}')");
my $over = ask('SELECT pg_snapshot_xmax(pg_current_snapshot())') + 0;
($next, $more, $seen) = split /\|/, $sweep->("$over:$over:///0"), -1;
is $seen, '', 'what was over at the last sweep is not looked at again';
# how often it is among all that a sweep of any number of pages brings
my $reborn = sub {
    my ($from) = @_;
    my $times = 0;
    do {
        ($next, $more, $seen) = split /\|/, $sweep_from->($from), -1;
        $times += grep { $_ eq 'reborn' } split /,/, $seen;
        $from = "'$next'";
    } while ($more eq 'true');
    return $times;
};
is $reborn->("'$over:$over:///0'"), 1, '... but after a checkpoint it is: that may be the end of a crash';
is $reborn->($pinned->($next)), 0, '... and then not again';
is $reborn->('NULL'), 1, 'the first sweep brings what was just before it';

# the user's own session for a device's
sub owner_of {
    my ($ctx) = @_;
    my ($user) = $ctx =~ /^\(([^,]+)/;
    return ask("SELECT (user_id, id, NULL, NULL, NULL, NULL, NULL)::api_1.ctx FROM goconnect.sessions WHERE user_id = '$user' AND device_id IS NULL");
}

# deleting a network while its members talk, join and leave
my @rush = ((map { "SELECT status FROM api_1.network_messages_create('$device[$_]', '$lan', '{\"content\": \"x\"}')" } 0 .. 9),
    (map { "SELECT status FROM api_1.networks_leave('" . owner_of($device[$_]) . "', '$lan')" } 10 .. 12),
    (map { "SELECT status FROM api_1.peers_delete('$device[$_]', '" . ask("SELECT id FROM goconnect.peers WHERE network_id = '$lan' AND device_id = '" . ($device[$_] =~ /^\([^,]+,[^,]+,([^,]+)/)[0] . "'") . "')" } 20 .. 24),
    (map { "SELECT status FROM api_1.ws_endpoints('$device[$_]', '$lan', '{\"endpoints\": [\"192.0.2.1:$_\"]}')" } 30 .. 39),
    "SELECT status FROM api_1.networks_delete('$alice', '$lan')");
my @rushed = together(@rush);
is $rushed[-1], 204, 'a network is deleted under load' or diag join "\n", @rushed;
is scalar(grep { /deadlock|timeout/ } @rushed), 0, '... without a deadlock' or diag join "\n", @rushed;
is ask("SELECT count(*) FROM goconnect.peers WHERE network_id = '$lan'"), 0, '... and nothing of it stays';

# devices that are deleted while they join
my $wide = ask(qq{SELECT t.network('$alice', '$acme', '{"name": "wide", "visibility": "public", "join_policy": "open"}')});
my @pair;
for my $i (40 .. 49) {
    my ($device) = $device[$i] =~ /^\([^,]+,[^,]+,([^,]+)/;
    my $own = owner_of($device[$i]);
    ask("SELECT api_1.networks_join('$own', '$wide', '{}')");
    push @pair, "SELECT status FROM api_1.peers_create('$device[$i]', '$wide', jsonb_build_object('public_key', encode(sha256('w$i'), 'base64')))",
        "SELECT status FROM api_1.devices_delete('$own', '$device')";
}
my @raced = together(@pair);
is scalar(grep { /deadlock|timeout/ } @raced), 0, 'devices join and are deleted at once, without a deadlock' or diag join "\n", @raced;
is ask("SELECT count(*) FROM goconnect.peers p WHERE NOT EXISTS (SELECT FROM goconnect.devices d WHERE d.id = p.device_id)"), 0, '... and no peer is left behind';

$pg->drop_database($db);
done_testing;

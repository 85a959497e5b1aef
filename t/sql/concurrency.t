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
my $sweep = sub { return $pg->sql($db, "SELECT body ->> 'next' || '|' || (body ->> 'more') || '|' || coalesce((SELECT string_agg(e #>> '{data,content}', ',') FROM json_array_elements(body -> 'events') e), '') FROM api_1.ws_sweep('$_[0]')") };
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
    my $row = $pg->sql($db, "SELECT body FROM api_1.ws_sweep('$next')");
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

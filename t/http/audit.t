# The audit trail: read by filters, chained within seconds, verified; and what
# whoever owns the database can do to it, but not unseen.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use GoConnect::World;
use Test::More;
use Time::HiRes qw(sleep time);

my $keys = GoConnect::Server::make_keys();
my $s = GoConnect::Server->start(workers => 2, keys => $keys);
my $w = GoConnect::World->new($s, excluded => 1);
my ($home, $foreign) = @$w{qw(home foreign)};
my @at = (as => 'admin', path => [ $home->{tenant} ]);
my $ZERO = '00000000-0000-0000-0000-000000000000';

# Waits until every row of the chain is in it.
sub chained {
    my ($chain) = @_;
    my $end = time + 30;
    my $where = $chain ? "WHERE chain = '$chain' AND chain_number IS NULL" : 'WHERE chain_number IS NULL';
    while ($s->sql("SELECT count(*) FROM goconnect.audit_log $where") > 0) {
        die "not chained\n" if time > $end;
        sleep 0.05;
    }
    return;
}

sub verify { return $w->must(200, 'audit_verify', @at, query => { @_ }) }

# --------------------------------------------------------------------- read

$w->must(200, 'tenants_update', @at, body => { name => 'Hearth', visibility => 'public' });
my $page = $w->must(200, 'audit_list', @at, query => { limit => 1 });
my $entry = $page->{items}[0];
is $entry->{action}, 'tenant.update', 'newest first';
is $entry->{actor_id}, $w->{user}{admin}{id}, 'who';
is $entry->{actor}, 'admin-x', 'by name';
is $entry->{device_id}, undef, 'not by a device';
is $entry->{address}, '127.0.0.1', 'from where';
is "$entry->{target_kind} $entry->{target_id}", "tenant $home->{tenant}", 'what';
is $entry->{detail}{before}{name}, 'Home', 'what it was';
is $entry->{detail}{after}{name}, 'Hearth', 'what it is';
ok $page->{next_cursor}, 'there is more';

my @all;
for (my $cursor; ; ) {
    my $p = $w->must(200, 'audit_list', @at, query => { limit => 7, defined $cursor ? (cursor => $cursor) : () });
    push @all, @{ $p->{items} };
    $cursor = $p->{next_cursor} // last;
}
is scalar(@all), $s->sql("SELECT count(*) FROM goconnect.audit_log WHERE tenant_id = '$home->{tenant}'"),
    'all pages together have all';
is_deeply [ map { $_->{id} } @all ], [ sort { $b <=> $a } map { $_->{id} } @all ], 'in order';

sub actions {
    return join ' ', map { $_->{action} } @{ $w->must(200, 'audit_list', @at, query => {@_})->{items} };
}
unlike actions(actor => $w->{user}{admin}{id}), qr/tenant\.create/, 'by actor';
is actions(actor => $w->{user}{admin}{id}, action => 'tenant.update'), 'tenant.update', 'by both';
is actions(action => 'tenant.create'), 'tenant.create', 'by action';
is actions(actor => $foreign->{user}), '', 'by somebody who did nothing here';
my $middle = $all[ @all / 2 ]{created_at};
is scalar(grep { $_->{created_at} ge $middle } @all), scalar(split ' ', actions(since => $middle)), 'since';
is scalar(grep { $_->{created_at} lt $middle } @all), scalar(split ' ', actions(until => $middle)), 'until';
is actions(since => $middle, until => $middle), '', 'neither';
for my $bad ([ since => '2026-11-22T18:04:05' ], [ until => '2026-13-22T18:04:05Z' ], [ since => 'yesterday, at about nine' ]) {
    my $problem = $w->is(422, undef, "$bad->[0]=$bad->[1]", 'audit_list', @at, query => {@$bad});
    is $problem->{errors}[0]{field}, $bad->[0], 'named';
}
$w->is(422, undef, 'a cursor that is none', 'audit_list', @at, query => { cursor => '1_x' });
$w->is(422, undef, 'an actor that is none', 'audit_list', @at, query => { actor => 'bob' });
$w->is(422, undef, 'a cursor that is none', 'audit_verify', @at, query => { cursor => 'x' });
$w->is(403, 'forbidden', 'moderators read none', 'audit_list', as => 'moderator', path => [ $home->{tenant} ]);
$w->is(404, 'not_found', 'the server has no tenant', $_, as => 'admin', path => [$ZERO])
    for qw(audit_list audit_verify);

# device, and what is personal
my $said = $w->must(201, 'network_messages_create', as => 'member device', path => [ $home->{network} ],
    body => { content => 'before' });
$w->must(200, 'messages_update', as => 'member device', path => [ $said->{id} ], body => { content => 'after' });
$entry = $w->must(200, 'audit_list', @at, query => { action => 'message.update' })->{items}[0];
is $entry->{device_id}, $w->{device}{member}{id}, 'a device is named';
is "$entry->{detail}{before}{content} $entry->{detail}{after}{content}", 'before after', 'what was said';
$s->sql("UPDATE goconnect.audit_personal SET value = NULL, salt = NULL WHERE audit_id = $entry->{id}");
$entry = $w->must(200, 'audit_list', @at, query => { action => 'message.update' })->{items}[0];
is $entry->{address}, undef, 'erased: no address';
ok exists $entry->{detail}{before}{content} && !defined $entry->{detail}{before}{content}, 'erased: no text';

# the server's own
$w->is(403, 'forbidden', 'the trail of the server is not for owners', $_, as => 'owner')
    for qw(admin_audit_list admin_audit_verify);
my $server = $w->must(200, 'admin_audit_list', as => 'server admin', query => { action => 'user.register' });
ok scalar @{ $server->{items} }, 'but for server admins';
is $server->{items}[0]{tenant_id}, undef, 'it is of no tenant';
is $server->{items}[0]{detail}{after}{username}, 'server-admin-x', 'with what is personal in its place';
$w->is(422, undef, 'a time that is none', 'admin_audit_list', as => 'server admin', query => { since => 'x' x 20 });
$w->is(422, undef, 'a cursor that is none', 'admin_audit_verify', as => 'server admin', query => { cursor => 'x' });

# ------------------------------------------------------------------- chained

chained();
my $v = verify();
ok $v->{intact}, 'the chain is whole';
is $v->{first}, 1, 'from the first row';
is $v->{verified}, scalar(@all) + 1, 'to the last';
is $v->{last}, $v->{head}{number}, 'which is signed';
is $v->{erased}, 3, 'what was erased is told';
is $v->{unchained}, 0, 'nothing waits';
is $v->{head}{key_id}, 'test1', 'by this key';
ok $w->must(200, 'admin_audit_verify', as => 'server admin')->{intact}, 'so is that of the server';
is_deeply [ sort { $a <=> $b } map { $_->{number} } @{ $w->must(200, 'audit_list', @at, query => { limit => 100 })->{items} } ],
    [ 1 .. $v->{verified} ], 'numbers have no gap';
my $key = $s->sql("SELECT count(*) FROM pg_stat_activity WHERE query ~ 'audit' AND query ~ '[0-9a-f]{64}.*secret'");
is $key, 0, 'and no key is in the database';

# a transaction that commits late, with a lower id
open my $psql, '|-', GoConnect::Cluster::bin_dir() . '/psql', '-X', '-q', '-o', '/dev/null', '-d',
    $s->{pg}->conninfo($s->{database}, 'postgres') or die $!;
$psql->autoflush(1);
print $psql "SET application_name = 'late'; BEGIN; INSERT INTO goconnect.audit_log (tenant_id, action) VALUES ('$home->{tenant}', 'test.late');\n";
my $end = time + 20;
sleep 0.05 while time < $end
    && !$s->sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'late' AND state = 'idle in transaction'");
$w->must(200, 'tenants_update', @at, body => { description => "early $_" }) for 1 .. 3;
my $seen = $s->sql("SELECT max(id) FROM goconnect.audit_log");
$end = time + 30;
sleep 0.05 while time < $end && !$s->sql("SELECT count(*) FROM goconnect.audit_log WHERE id = $seen AND chain_number IS NOT NULL");
ok verify()->{intact}, 'while it is open the others are chained';
print $psql "COMMIT;\n";
close $psql;
chained();
is $s->sql("SELECT (SELECT chain_number FROM goconnect.audit_log WHERE action = 'test.late') "
    . "= (SELECT chain_number + 1 FROM goconnect.audit_log WHERE id = $seen)"), 't', 'the late one comes behind them';
is $s->sql("SELECT (SELECT id FROM goconnect.audit_log WHERE action = 'test.late') < $seen - 2"), 't', 'though its id is lower';
ok verify()->{intact}, 'the chain is whole';

# ------------------------------------------------------------------- tampered

# Lets the database's owner do something to the home tenant's chain, looks how
# verification finds it, and takes it back.
sub tamper {
    my ($what, $sql, $number, $reason) = @_;
    $s->sql('CREATE TABLE keep_log AS SELECT * FROM goconnect.audit_log; '
        . 'CREATE TABLE keep_personal AS SELECT * FROM goconnect.audit_personal; '
        . 'CREATE TABLE keep_chains AS SELECT * FROM goconnect.audit_chains;');
    $s->sql($sql);
    my $v = verify();
    ok !$v->{intact}, "$what: found";
    is "$v->{broken}{number} $v->{broken}{reason}", "$number $reason", "$what: where and why";
    my $columns = join ', ', qw(id tenant_id actor_id device_id action target_kind target_id detail created_at chain_number hash key_id);
    $s->sql('TRUNCATE goconnect.audit_log, goconnect.audit_personal, goconnect.audit_chains; '
        . "INSERT INTO goconnect.audit_log ($columns) OVERRIDING SYSTEM VALUE SELECT $columns FROM keep_log; "
        . 'INSERT INTO goconnect.audit_personal SELECT * FROM keep_personal; '
        . 'INSERT INTO goconnect.audit_chains SELECT * FROM keep_chains; '
        . 'DROP TABLE keep_log, keep_personal, keep_chains');
    ok verify()->{intact}, "$what: taken back";
    return;
}

my $chain = "tenant_id = '$home->{tenant}'";
my $row = "$chain AND chain_number = 3";
my $last = verify()->{last};
tamper('a changed actor', "UPDATE goconnect.audit_log SET actor_id = gen_random_uuid() WHERE $row", 3, 'changed');
tamper('a changed device', "UPDATE goconnect.audit_log SET device_id = gen_random_uuid() WHERE $row", 3, 'changed');
tamper('a changed action', "UPDATE goconnect.audit_log SET action = 'a.b' WHERE $row", 3, 'changed');
tamper('a changed target', "UPDATE goconnect.audit_log SET target_id = NULL WHERE $row", 3, 'changed');
tamper('a changed detail', "UPDATE goconnect.audit_log SET detail = '{}' WHERE $row", 3, 'changed');
tamper('a changed time', "UPDATE goconnect.audit_log SET created_at = created_at + interval '1 microsecond' WHERE $row", 3, 'changed');
tamper('a changed id', "ALTER TABLE goconnect.audit_personal DROP CONSTRAINT audit_personal_audit_fkey; "
    . "UPDATE goconnect.audit_log SET id = DEFAULT WHERE $row; UPDATE goconnect.audit_personal SET audit_id = "
    . "(SELECT id FROM goconnect.audit_log WHERE $row) WHERE audit_id = (SELECT id FROM keep_log WHERE $row); "
    . 'ALTER TABLE goconnect.audit_personal ADD CONSTRAINT audit_personal_audit_fkey '
    . 'FOREIGN KEY (audit_id) REFERENCES goconnect.audit_log (id) ON DELETE CASCADE', 3, 'changed');
tamper('a changed hash', "UPDATE goconnect.audit_log SET hash = sha256(hash) WHERE $row", 3, 'changed');
tamper('another key', "UPDATE goconnect.audit_log SET key_id = 'mine' WHERE $row", 3, 'unknown_key');
tamper('a changed address', "UPDATE goconnect.audit_personal SET value = '1.2.3.4' WHERE audit_id = "
    . "(SELECT id FROM goconnect.audit_log WHERE $row)", 3, 'personal');
tamper('an address with its hash', "UPDATE goconnect.audit_personal SET value = '1.2.3.4', "
    . "hash = sha256(salt || '1.2.3.4') WHERE audit_id = (SELECT id FROM goconnect.audit_log WHERE $row)", 3, 'changed');
tamper('a personal field less', "DELETE FROM goconnect.audit_personal WHERE audit_id = "
    . "(SELECT id FROM goconnect.audit_log WHERE $row)", 3, 'changed');
tamper('a row less', "DELETE FROM goconnect.audit_log WHERE $row", 3, 'missing');
tamper('the first row less', "DELETE FROM goconnect.audit_log WHERE $chain AND chain_number = 1", 1, 'missing');
tamper('a row less, the others moved up', "DELETE FROM goconnect.audit_log WHERE $row; "
    . "UPDATE goconnect.audit_log SET chain_number = chain_number + 1000000 WHERE $chain AND chain_number > 3; "
    . "UPDATE goconnect.audit_log SET chain_number = chain_number - 1000001 WHERE $chain AND chain_number > 3", 3, 'changed');
tamper('two rows in the place of each other', "UPDATE goconnect.audit_log SET chain_number = 1000000 WHERE $row; "
    . "UPDATE goconnect.audit_log SET chain_number = 3 WHERE $chain AND chain_number = 4; "
    . "UPDATE goconnect.audit_log SET chain_number = 4 WHERE $chain AND chain_number = 1000000", 3, 'changed');
tamper('the last row less', "DELETE FROM goconnect.audit_log WHERE $chain AND chain_number = $last", $last, 'missing');
tamper('the last row less, and the head', "DELETE FROM goconnect.audit_log WHERE $chain AND chain_number = $last; "
    . "UPDATE goconnect.audit_chains c SET number = $last - 1, hash = (SELECT l.hash FROM goconnect.audit_log l "
    . "WHERE l.$chain AND l.chain_number = $last - 1) WHERE c.chain = '$home->{tenant}'", $last - 1, 'head');
tamper('no head', "DELETE FROM goconnect.audit_chains WHERE chain = '$home->{tenant}'", $last, 'head');
tamper('a head of another time', "UPDATE goconnect.audit_chains SET signed_at = signed_at - 1 WHERE chain = '$home->{tenant}'",
    $last, 'head');
tamper('a head with another hash', "UPDATE goconnect.audit_chains SET hash = sha256(hash) WHERE chain = '$home->{tenant}'",
    $last, 'head');
tamper('a home-made anchor', "DELETE FROM goconnect.audit_log WHERE $chain AND chain_number <= 2; "
    . "UPDATE goconnect.audit_chains c SET anchor_number = 2, anchor_hash = k.hash, anchor_signed_at = 1, "
    . "anchor_key_id = 'test1', anchor_signature = c.signature FROM keep_log k "
    . "WHERE c.chain = '$home->{tenant}' AND k.$chain AND k.chain_number = 2", 2, 'anchor');
tamper('a chain put in place of another', "DELETE FROM goconnect.audit_log WHERE $chain; "
    . "UPDATE goconnect.audit_log SET tenant_id = '$home->{tenant}' WHERE tenant_id = '$foreign->{tenant}'; "
    . "DELETE FROM goconnect.audit_chains WHERE chain = '$home->{tenant}'; "
    . "UPDATE goconnect.audit_chains SET chain = '$home->{tenant}' WHERE chain = '$foreign->{tenant}'", 1, 'changed');
# forged as well as it can be without the key: every hash behind the change made anew
tamper('a whole chain made anew by another key', "UPDATE goconnect.audit_log SET detail = '{\"forged\": true}' WHERE $row; "
    . "UPDATE goconnect.audit_log SET hash = hmac_like.h FROM (SELECT id AS i, sha256(convert_to(id::text || detail::text, 'UTF8')) AS h "
    . "FROM goconnect.audit_log) hmac_like WHERE i = id AND $chain AND chain_number >= 3", 3, 'changed');

# what is cut off is not made good by going on
$s->allow(qr/goconnect: audit: the end of the chain/);
$s->sql("DELETE FROM goconnect.audit_log WHERE $chain AND chain_number > $last - 2; "
    . "UPDATE goconnect.audit_chains c SET number = $last - 2, hash = (SELECT l.hash FROM goconnect.audit_log l "
    . "WHERE l.$chain AND l.chain_number = $last - 2) WHERE c.chain = '$home->{tenant}'");
$w->must(200, 'tenants_update', @at, body => { description => 'afterwards' });
chained();
$v = verify();
is "$v->{broken}{number} $v->{broken}{reason}", ($last - 1) . ' missing', 'a chain that was cut goes on with a gap for ever';

# --------------------------------------------------------- keys, and pruning

my @there = (as => 'outsider', path => [ $foreign->{tenant} ]);
chained();
ok $w->must(200, 'audit_verify', @there)->{intact}, 'another chain is not touched';
$s->write_file('keys', $keys =~ s/^audit /audit next AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\naudit /mr, 0600);
$s->reload;
$w->must(200, 'tenants_update', @there, body => { description => 'with another key' });
chained();
$v = $w->must(200, 'audit_verify', @there);
ok $v->{intact}, 'a chain goes on under the next key';
is $v->{head}{key_id}, 'next', 'which signs its head';
is $s->sql("SELECT string_agg(DISTINCT key_id, ' ' ORDER BY key_id) FROM goconnect.audit_log WHERE tenant_id = '$foreign->{tenant}'"),
    'next test1', 'each row says its key';

my $n = $v->{last};
$s->sql("UPDATE goconnect.audit_chains SET anchor_number = 0 WHERE chain = '$foreign->{tenant}'");
ok $w->must(200, 'audit_verify', @there)->{intact}, 'whole before it is pruned';
# rows that are old: the time is in the hash, so they are chained as old ones
$s->sql("INSERT INTO goconnect.tenants (id, name, slug) VALUES ('11111111-1111-4111-8111-111111111111', 'Old', 'old-one'); "
    . "INSERT INTO goconnect.memberships (tenant_id, user_id, role, joined_at) VALUES ('11111111-1111-4111-8111-111111111111', "
    . "'$w->{user}{outsider}{id}', 'owner', now()); "
    . "INSERT INTO goconnect.audit_log (id, tenant_id, action, created_at) OVERRIDING SYSTEM VALUE "
    . "SELECT i - 1000, '11111111-1111-4111-8111-111111111111', 'test.old', "
    . "CASE WHEN i <= 300 THEN now() - interval '401 days' ELSE now() END FROM generate_series(1, 310) i");
chained();
my @old = (as => 'outsider', path => ['11111111-1111-4111-8111-111111111111']);
is $w->must(200, 'audit_verify', @old)->{verified}, 310, 'old rows, chained';
$s->sql("UPDATE goconnect.chores SET done_at = '-infinity' WHERE name = 'audit_prune'");
$end = time + 30;
sleep 0.05 while time < $end && $s->sql("SELECT count(*) FROM goconnect.audit_log WHERE created_at < now() - interval '400 days'");
$v = $w->must(200, 'audit_verify', @old);
ok $v->{intact}, 'pruned at 400 days it is whole';
is "$v->{first} $v->{verified} $v->{head}{number}", '301 10 310', 'from its anchor on';
$s->sql("UPDATE goconnect.audit_chains SET anchor_signature = signature WHERE chain = '11111111-1111-4111-8111-111111111111'");
is $w->must(200, 'audit_verify', @old)->{broken}{reason}, 'anchor', 'which is signed';

$s->stop;
done_testing;

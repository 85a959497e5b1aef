#!/usr/bin/perl
# sql/migrate: on an empty database, again, twice at once, without a superuser,
# on a database that is in use, and when it has to refuse.

use strict;
use warnings;
use lib 't/lib';
use File::Temp qw(tempdir);
use Test::More;
use GoConnect::Cluster;

my $root = $GoConnect::Cluster::ROOT;
my $pg = GoConnect::Cluster->shared;
my $n = 0;
my @made;

sub empty_database {
    my ($owner) = @_;
    my $name = "gcm_${$}_" . ++$n;
    $pg->sql('postgres', qq(CREATE DATABASE "$name")
        . ($owner ? " OWNER $owner" : '')
        # the tests' template1 may carry extensions
        . ' TEMPLATE template0');
    push @made, $name;
    return $name;
}

# A copy of sql/ to change; readable by whoever runs it.
sub copy_of_sql {
    my $dir = tempdir(CLEANUP => 1);
    system('cp', '-R', "$root/sql", "$dir/sql") == 0 or die;
    return "$dir/sql";
}

sub migrate {
    my ($dir, $database, $user) = @_;
    local $ENV{PGOPTIONS};
    delete $ENV{PGOPTIONS};
    my $conninfo = $pg->conninfo($database, $user // 'postgres');
    my $out = `"$dir/migrate" "$conninfo" 2>&1`;
    return ($? >> 8, $out);
}

sub append {
    my ($file, $text) = @_;
    open my $fh, '>>', $file or die "$file: $!";
    print $fh $text;
    close $fh;
}

sub state_of {
    my ($database) = @_;
    return $pg->sql($database, <<~'SQL');
        SELECT md5(string_agg(x, E'\n' ORDER BY x)) FROM (
            SELECT pg_get_functiondef(p.oid) || coalesce(p.proacl::text, '')
              FROM pg_proc p WHERE p.pronamespace IN ('goconnect'::regnamespace, 'api_1'::regnamespace)
            UNION ALL
            SELECT c.conrelid::regclass || c.conname || pg_get_constraintdef(c.oid)
              FROM pg_constraint c WHERE c.connamespace = 'goconnect'::regnamespace
            UNION ALL
            SELECT a.attrelid::regclass || a.attname || format_type(a.atttypid, a.atttypmod)
              FROM pg_attribute a JOIN pg_class r ON r.oid = a.attrelid
             WHERE r.relnamespace = 'goconnect'::regnamespace AND a.attnum > 0) s (x)
        SQL
}

my @files = glob "$root/sql/migrations/*.sql";
my $count = @files;
my ($newest) = map { $_ + 0 } $files[-1] =~ m{/(\d+)_[^/]*\z};

# usage
my $out = `"$root/sql/migrate" --help 2>&1`;
is $?, 0, '--help';
like $out, qr/Usage: sql\/migrate .*CONNINFO/, '... teaches';
$out = `"$root/sql/migrate" 2>&1`;
is $? >> 8, 2, 'without a database: usage';
my ($rc) = migrate("$root/sql", 'no_such_database');
is $rc, 1, 'a database that is not there';

# once and again
my $db = empty_database();
($rc, $out) = migrate("$root/sql", $db);
is $rc, 0, 'an empty database' or diag $out;
is(() = $out =~ /^migrated /mg, $count, '... says each migration');
like $out, qr/^installed api_1$/m, '... and the functions';
is $pg->sql($db, 'SELECT count(*) FROM goconnect.migrations'), $count, '... and records them';
my $first = state_of($db);
($rc, $out) = migrate("$root/sql", $db);
is $rc, 0, 'again';
unlike $out, qr/migrated|installed/, '... does nothing';
is state_of($db), $first, '... at all';
is $pg->sql($db, 'SELECT count(*) FROM goconnect.cidr_pool'), 16384, '... the pool is there once';

# two at once, and two in different databases, where the roles are shared
my $both = empty_database();
my $other = empty_database();
my @pid;
my $logs = tempdir(CLEANUP => 1);
for my $target ($both, $both, $other) {
    my $pid = fork // die;
    if (!$pid) {
        my ($status, $text) = migrate("$root/sql", $target);
        append("$logs/$target", $text);
        require POSIX;
        POSIX::_exit($status);
    }
    push @pid, $pid;
}
my @status = map { waitpid $_, 0; $? } @pid;
is_deeply \@status, [ 0, 0, 0 ], 'several at once all succeed'
    or diag `cat $logs/*`;
is state_of($both), $first, '... and the outcome is the same';
my $log = do { local (@ARGV, $/) = "$logs/$both"; <> };
is(() = $log =~ /^migrated 0001/mg, 1, '... one of them worked');

# a changed old file
my $dir = copy_of_sql();
append("$dir/migrations/" . ($files[0] =~ s{.*/}{}r), "\n-- changed\n");
($rc, $out) = migrate($dir, $db);
is $rc, 1, 'a changed old migration is refused';
like $out, qr/migration 0001_\w+ was changed after it was applied/, '... by name';
like $out, qr/put the change in a new migration/, '... with what to do';
is state_of($db), $first, '... and nothing is done';

# a new one
$dir = copy_of_sql();
my $next = sprintf '%04d', $newest + 1;
append("$dir/migrations/${next}_more.sql", "CREATE TABLE goconnect.more (id int);\n");
($rc, $out) = migrate($dir, $db);
is $rc, 0, 'a new migration' or diag $out;
like $out, qr/^migrated ${next}_more$/m, '... is the only one run';
is(() = $out =~ /^migrated /mg, 1, '... once');
is $pg->sql($db, q{SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'goconnect.more'::regclass}),
    'goconnect_owner', '... and belongs to the owner';
is $pg->sql($db, q{SELECT has_table_privilege('goconnect', 'goconnect.more', 'SELECT')}), 'f',
    '... alone';
($rc, $out) = migrate("$root/sql", $db);
is $rc, 1, 'an older release refuses a newer database';
like $out, qr/newer than this release: it has migration ${next}_more/, '... and says so';

# one that fails leaves nothing
$dir = copy_of_sql();
append("$dir/migrations/${next}_broken.sql", "CREATE TABLE goconnect.half (id int);\nSELECT 1/0;\n");
my $third = empty_database();
($rc, $out) = migrate($dir, $third);
is $rc, 1, 'a migration that fails';
is $pg->sql($third, q{SELECT to_regclass('goconnect.half') IS NULL}), 't', '... leaves no half of itself';
is $pg->sql($third, 'SELECT max(number) FROM goconnect.migrations'), $newest, '... those before stand';
($rc) = migrate("$root/sql", $third);
is $rc, 0, '... and the next run goes on';

# a number that is missing, or there twice
for my $odd ($newest + 2, $newest) {
    $dir = copy_of_sql();
    append(sprintf('%s/migrations/%04d_odd.sql', $dir, $odd), "SELECT 1;\n");
    ($rc, $out) = migrate($dir, $both);
    is $rc, 1, "migration $odd behind $newest";
    like $out, qr/number ${\($newest + 1)} is missing/, '... is refused';
}

# changed functions: the types stay, and prepared statements go on
$dir = copy_of_sql();
append("$dir/api/90_operation.sql", <<~'SQL');
    CREATE FUNCTION api_1.extra(ctx api_1.ctx) RETURNS api_1.reply
    LANGUAGE sql SECURITY DEFINER AS $$ SELECT api_1._ok(200, '{"extra": true}') $$;
    SQL
my $before = $pg->sql($both, q{SELECT 'api_1.ctx'::regtype::oid});
my $session = tempdir(CLEANUP => 1);
system('mkfifo', "$session/in") == 0 or die;
my $child = fork // die;
if (!$child) {
    my $psql = GoConnect::Cluster::bin_dir() . '/psql';
    open STDIN, '<', "$session/in";
    open STDOUT, '>', "$session/out";
    open STDERR, '>&', \*STDOUT;
    exec $psql, '-X', '-A', '-t', '-q', '-d', $pg->conninfo($both, 'goconnect');
}
open my $in, '>', "$session/in" or die;
$in->autoflush(1);
print $in "PREPARE p AS SELECT status, body FROM api_1.auth_me(\$1); EXECUTE p('(,,,,,,)');\n";
select undef, undef, undef, 0.05 until -s "$session/out";
($rc, $out) = migrate($dir, $both);
is $rc, 0, 'other functions' or diag $out;
print $in "EXECUTE p('(,,,,,,)');\nSELECT body FROM api_1.extra('(,,,,,,)');\n";
close $in;
waitpid $child, 0;
my @line = do { local @ARGV = "$session/out"; <> };
is(() = (join '', @line) =~ /session_revoked/g, 2, '... a prepared statement lives through it')
    or diag @line;
like $line[-1], qr/"extra"/, '... a new function is granted';
is $pg->sql($both, q{SELECT 'api_1.ctx'::regtype::oid}), $before, '... the types are the old ones';
($rc, $out) = migrate("$root/sql", $both);
is $pg->sql($both, q{SELECT count(*) FROM pg_proc WHERE proname = 'extra'}), 0, 'what is not there any more is dropped';
is state_of($both), $first, '... and all is as before';

# a table that is in use
my $busy = fork // die;
if (!$busy) {
    $pg->psql($third, 'BEGIN; LOCK goconnect.users; SELECT pg_sleep(30)');
    require POSIX;
    POSIX::_exit(0);
}
select undef, undef, undef, 0.05 until $pg->sql($third, <<~'SQL') > 0;
    SELECT count(*) FROM pg_locks WHERE relation = 'goconnect.users'::regclass AND mode = 'AccessExclusiveLock'
    SQL
$dir = copy_of_sql();
append("$dir/migrations/${next}_column.sql", "ALTER TABLE goconnect.users ADD x int;\n");
{
    local $ENV{GOCONNECT_LOCK_TIMEOUT} = '200ms';
    ($rc, $out) = migrate($dir, $third);
}
is $rc, 1, 'a table that is in use';
like $out, qr/lock timeout/, '... is waited for only so long';
$pg->sql($third, q{SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = 'goconnect.users'::regclass AND mode = 'AccessExclusiveLock'});
waitpid $busy, 0;
($rc) = migrate($dir, $third);
is $rc, 0, '... and again it works';

# another encoding
my $latin = "gcm_${$}_latin";
$pg->sql('postgres', qq(CREATE DATABASE "$latin" ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0));
push @made, $latin;
($rc, $out) = migrate("$root/sql", $latin);
is $rc, 1, 'a database that is not in UTF-8';
like $out, qr/needs UTF8/, '... is refused';

# without a superuser
$pg->sql('postgres', "CREATE ROLE deployer_$$ LOGIN CREATEROLE");
my $fourth = empty_database("deployer_$$");
($rc, $out) = migrate("$root/sql", $fourth, "deployer_$$");
is $rc, 0, 'the owner of the database with CREATEROLE suffices' or diag $out;
is state_of($fourth), $first, '... for the same outcome';

$pg->drop_database($_) for @made;
$pg->sql('postgres', "DROP ROLE deployer_$$");
done_testing;

#!/usr/bin/perl
# What the module's role may do: call the functions that the route table and
# the live side name, and nothing else.

use strict;
use warnings;
use lib 't/lib';
use Test::More;
use GoConnect::Cluster;
use GoConnect::Routes;

my $pg = GoConnect::Cluster->shared;
my $db = $pg->create_database;

sub column { return grep { length } split /\n/, $pg->sql($db, $_[0]) }

sub slurp {
    my ($file) = @_;
    open my $fh, '<', $file or die "$file: $!";
    local $/;
    return scalar <$fh>;
}

# The functions that the C code calls: those of routes.def, and those named in
# the live side's statements.
my %wanted;
for my $route (GoConnect::Routes::all()) {
    $wanted{$_} = 1 for grep { length } $route->{begin}, $route->{finish};
}
for my $file (glob "$GoConnect::Cluster::ROOT/ngx_goconnect_module/{live,http,pg}/*.[ch]") {
    $wanted{$_} = 1 for slurp($file) =~ /(?:\bapi_\d+\.|_ROW\s+")([a-z_]+)\(/g;
}

my %granted = map { $_ => 1 } column(<<~'SQL');
    SELECT p.proname FROM pg_proc p
     WHERE p.pronamespace IN ('api_1'::regnamespace, 'goconnect'::regnamespace)
       AND has_function_privilege('goconnect', p.oid, 'EXECUTE')
    SQL

is_deeply [ sort keys %granted ], [ sort keys %wanted ],
    'the role may execute exactly what the module calls';

is_deeply [ column(<<~'SQL') ], [], '... each of one form only';
    SELECT p.proname FROM pg_proc p
     WHERE p.pronamespace = 'api_1'::regnamespace AND p.proname !~ '^_'
     GROUP BY p.proname HAVING count(*) > 1
    SQL
is_deeply [ column(<<~'SQL') ], [], '... which answer with a reply, as their owner, without a SET clause';
    SELECT p.proname FROM pg_proc p
     WHERE p.pronamespace = 'api_1'::regnamespace AND p.proname !~ '^_'
       AND (NOT p.prosecdef OR p.proconfig IS NOT NULL
            OR p.prorettype <> 'api_1.reply'::regtype OR p.proretset
            OR pg_get_userbyid(p.proowner) <> 'goconnect_owner')
    SQL
is_deeply [ column(<<~'SQL') ], [], '... and take a ctx first, except those that need none';
    SELECT p.proname FROM pg_proc p
     WHERE p.pronamespace = 'api_1'::regnamespace AND p.proname !~ '^_'
       AND p.proname NOT IN ('ready', 'ws_figures', 'ws_ticket_take', 'ws_sweep', 'ws_presence',
                             'ws_presence_state', 'audit_take', 'audit_store')
       AND p.proargtypes[0] <> 'api_1.ctx'::regtype
    SQL
is_deeply [ column(<<~'SQL') ], [], 'our own helpers do not run as somebody else';
    SELECT p.proname FROM pg_proc p
     WHERE p.pronamespace IN ('api_1'::regnamespace, 'goconnect'::regnamespace)
       AND (p.proname ~ '^_' OR p.pronamespace = 'goconnect'::regnamespace)
       AND (p.prosecdef OR p.proconfig IS NOT NULL)
    SQL

# tables, schemas, database
is_deeply [ column(<<~'SQL') ], [], 'the role reaches no table, view or sequence';
    SELECT c.relname FROM pg_class c
     WHERE c.relnamespace IN ('goconnect'::regnamespace, 'api_1'::regnamespace)
       AND CASE WHEN c.relkind = 'S' THEN has_sequence_privilege('goconnect', c.oid, 'USAGE, SELECT, UPDATE')
                WHEN c.relkind IN ('r', 'v', 'm', 'p')
                THEN has_table_privilege('goconnect', c.oid,
                         'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
                  OR has_any_column_privilege('goconnect', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
                ELSE false END
    SQL
is $pg->sql($db, <<~'SQL'), 'f|f|f|f|f|t', 'it creates nothing, anywhere';
    SELECT has_schema_privilege('goconnect', 'goconnect', 'USAGE'),
           has_schema_privilege('goconnect', 'api_1', 'CREATE'),
           has_schema_privilege('goconnect', 'public', 'CREATE'),
           has_database_privilege('goconnect', current_database(), 'CREATE'),
           has_database_privilege('goconnect', current_database(), 'TEMP'),
           has_schema_privilege('goconnect', 'api_1', 'USAGE')
    SQL
is $pg->sql($db, <<~'SQL'), 'f|f|f|f|f|t', 'it is nobody in particular';
    SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolcanlogin
      FROM pg_roles WHERE rolname = 'goconnect'
    SQL
is $pg->sql($db, <<~'SQL'), 'f|0', 'the owner cannot log in, and nobody is in it';
    SELECT rolcanlogin, (SELECT count(*) FROM pg_auth_members m WHERE m.member = 'goconnect'::regrole)
      FROM pg_roles WHERE rolname = 'goconnect_owner'
    SQL
is_deeply [ column(<<~'SQL') ], [], 'PUBLIC has nothing';
    SELECT 'function ' || p.proname FROM pg_proc p,
           aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
     WHERE p.pronamespace IN ('api_1'::regnamespace, 'goconnect'::regnamespace) AND a.grantee = 0
    UNION ALL
    SELECT 'table ' || c.relname FROM pg_class c, aclexplode(c.relacl) a
     WHERE c.relnamespace IN ('api_1'::regnamespace, 'goconnect'::regnamespace) AND a.grantee = 0
    UNION ALL
    SELECT 'schema ' || s.nspname FROM pg_namespace s, aclexplode(s.nspacl) a
     WHERE s.nspname IN ('api_1', 'goconnect') AND a.grantee = 0
    SQL

my ($out, $error) = $pg->psql($db, 'SELECT * FROM goconnect.users', 'goconnect');
like $error, qr/permission denied for schema goconnect/, 'tried: a table';
(undef, $error) = $pg->psql($db, 'CREATE TEMP TABLE x (i int)', 'goconnect');
like $error, qr/permission denied to create temporary tables/, 'tried: a temporary table';
(undef, $error) = $pg->psql($db, q{SELECT api_1._publish('{}')}, 'goconnect');
like $error, qr/permission denied for function _publish/, 'tried: a helper';
(undef, $error) = $pg->psql($db, 'SET ROLE goconnect_owner', 'goconnect');
like $error, qr/permission denied to set role/, 'tried: being the owner';

# as the role, with its own settings
is +($pg->psql($db, 'SHOW search_path', 'goconnect'))[0], 'pg_catalog, pg_temp', 'its search_path';
is +($pg->psql($db, 'SHOW timezone', 'goconnect'))[0], 'UTC', 'its time zone';
is +($pg->psql($db, 'SELECT body FROM api_1.ready()', 'goconnect'))[0],
    '{"version" : 1, "compatible_from" : 1, "grants_ok" : true}', 'it is ready';
like +($pg->psql($db, q{SELECT body FROM api_1.ready()}, 'postgres'))[0],
    qr/"grants_ok" : false/, '... which a superuser is not';
$pg->sql($db, 'GRANT USAGE ON SCHEMA goconnect TO goconnect');
like +($pg->psql($db, q{SELECT body FROM api_1.ready()}, 'goconnect'))[0],
    qr/"grants_ok" : false/, '... nor whoever was given more';

# every name that the functions use says its schema: they work where nothing
# but pg_catalog is looked at, and no body mentions a table without one
my %table = map { $_ => 1 } column(<<~'SQL');
    SELECT c.relname FROM pg_class c
     WHERE c.relnamespace = 'goconnect'::regnamespace AND c.relkind IN ('r', 'v')
    SQL
my @bare;
for my $file (glob "$GoConnect::Cluster::ROOT/sql/api/*.sql") {
    my $text = slurp($file);
    $text =~ s/--[^\n]*//g;
    $text =~ s/'(?:[^']|'')*'/''/g;
    push @bare, "$file: $1" while $text =~ /\b(?:FROM|JOIN|INTO|UPDATE|USING)\s+(?:ONLY\s+)?([a-z_]+)\b(?!\s*[.(])/gi
        and ($table{$1} ? 1 : next);
}
is_deeply \@bare, [], 'no table is named without its schema';

# what a client's request can break has an answer
my $defined = slurp("$GoConnect::Cluster::ROOT/ngx_goconnect_module/http/constraints.def");
$defined =~ s{/\*.*?\*/}{}gs;
my %known = map { $_ => 1 } $defined =~ /GC_CONSTRAINT\((\w+),/g;
my %exists = map { $_ => 1 } column(<<~'SQL');
    SELECT conname FROM pg_constraint WHERE connamespace = 'goconnect'::regnamespace
    UNION SELECT relname FROM pg_class WHERE relnamespace = 'goconnect'::regnamespace AND relkind = 'i'
    UNION SELECT (regexp_matches(prosrc, 'CONSTRAINT = ''(\w+)''', 'g'))[1]
            FROM pg_proc WHERE pronamespace = 'goconnect'::regnamespace
    SQL
is_deeply [ grep { !$exists{$_} } sort keys %known ], [], 'constraints.def names no constraint that is not there';
my @unique = column(<<~'SQL');
    SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
      JOIN pg_class r ON r.oid = i.indrelid
     WHERE c.relnamespace = 'goconnect'::regnamespace AND i.indisunique AND NOT i.indisprimary
       AND r.relname IN ('users', 'tenants', 'networks', 'memberships', 'invites', 'devices')
       AND c.relname NOT IN ('devices_id_user_key', 'networks_tenant_id_key')
    SQL
is_deeply [ grep { !$known{$_} } @unique ], [], '... and all that a client can collide with';

$pg->drop_database($db);
done_testing;

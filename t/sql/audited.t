#!/usr/bin/perl
# Every function of the route table that changes something leaves a row in the
# audit trail, with what was before and after. It does so in its own
# transaction: a function is one statement, and nothing leaves it.

use strict;
use warnings;
use lib 't/lib';
use Test::More;
use GoConnect::Cluster;
use GoConnect::Routes;

my $pg = GoConnect::Cluster->shared;
my $db = $pg->create_database;

# What changes something and is not audited, and why.
my %unaudited = (
    auth_device_code => 'a wish of nobody yet; its approval or refusal is audited',
    auth_device_get => 'only counts wrong guesses',
    auth_refresh => 'a session goes on as it is; a token that is used twice is audited',
    ws_ticket_create => 'half a minute of a session that is there already',
    tenant_messages_create => 'the message itself says who wrote it and when',
    network_messages_create => 'the message itself says who wrote it and when',
    tenant_read_mark_set => 'how far somebody has read is nobody else\'s business',
    network_read_mark_set => 'how far somebody has read is nobody else\'s business',
);


# name => source, of all functions of ours
my %source;
for my $line (split /\x1e/, $pg->sql($db, <<~'SQL')) {
    SELECT string_agg(p.proname || E'\x1f' || p.provolatile::text || E'\x1f' || p.prosrc, E'\x1e')
      FROM pg_proc p WHERE p.pronamespace = 'api_1'::regnamespace
    SQL
    my ($name, $volatile, $text) = split /\x1f/, $line, 3;
    $text =~ s/--[^\n]*//g;
    $source{$name}{volatile} ||= $volatile eq 'v';
    $source{$name}{text} .= "\n$text";
}

# The function and all that it calls, as one text.
sub whole {
    my ($name, $seen) = @_;
    return '' if $seen->{$name}++ || !$source{$name};
    my $text = $source{$name}{text};
    return join "\n", $text, map { whole($_, $seen) } $text =~ /\bapi_1\.(\w+)\s*\(/g;
}

my (%route, %writes);
for my $route (GoConnect::Routes::all()) {
    for my $name (grep { length } @$route{qw(begin finish)}) {
        push @{ $route{$name} }, $route;
    }
}

for my $name (sort keys %route) {
    ok $source{$name}, "$name is there" or next;
    my $text = whole($name, {});
    # the trail's own table does not count
    my $changes = $text =~ /\b(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+goconnect\.(?!audit_|idempotency|events|topics)/;
    next if !$source{$name}{volatile} || !$changes;
    $writes{$name} = 1;
    next if $unaudited{$name};
    like $text, qr/\bapi_1\._audit\s*\(/, "$name is audited";
    like $text, qr/\bapi_1\._changes\s*\(|'(?:before|after)\b/, "$name says what it was before and after";
}

my @stale = grep { !$writes{$_} } sort keys %unaudited;
is_deeply \@stale, [], 'no exception is left over';

# A row for each route that changes: those with a method that says so.
for my $route (GoConnect::Routes::all()) {
    next if $route->{method} eq 'GET' || !$route->{finish};
    ok $writes{ $route->{finish} }, "$route->{method} $route->{path} changes something";
}
for my $route (GoConnect::Routes::all()) {
    next if $route->{method} ne 'GET' || !$route->{finish};
    ok !$writes{ $route->{finish} } || $unaudited{ $route->{finish} },
        "$route->{method} $route->{path} changes nothing";
}

# Tried: a change that is taken back takes its row with it.
is $pg->sql($db, <<~'SQL'), '0|0', 'no change, no row';
    BEGIN;
    DO $$
    DECLARE
        r api_1.reply;
    BEGIN
        r := api_1.auth_register(ROW(NULL, NULL, NULL, '192.0.2.1', 'r', NULL, NULL)::api_1.ctx,
            jsonb_build_object('username', 'gone', 'password_hash', 'x',
                               'refresh_hash', encode(sha256('x'), 'hex')));
        IF r.status <> 201 THEN RAISE EXCEPTION '%', r; END IF;
        IF (SELECT count(*) FROM goconnect.audit_log WHERE action = 'user.register') <> 1 THEN
            RAISE EXCEPTION 'no row';
        END IF;
    END $$;
    ROLLBACK;
    SELECT (SELECT count(*) FROM goconnect.users), (SELECT count(*) FROM goconnect.audit_log);
    SQL

# A row that cannot be written takes the change with it.
my ($out, $error) = $pg->psql($db, <<~'SQL', 'postgres');
    ALTER TABLE goconnect.audit_log ADD CONSTRAINT audit_log_nothing_check CHECK (false);
    SELECT status FROM api_1.auth_register(ROW(NULL, NULL, NULL, '192.0.2.1', 'r', NULL, NULL)::api_1.ctx,
        jsonb_build_object('username', 'gone', 'password_hash', 'x', 'refresh_hash', encode(sha256('x'), 'hex')));
    SQL
like $error, qr/audit_log_nothing_check/, 'no row, ...';
is $pg->sql($db, 'SELECT count(*) FROM goconnect.users'), 0, '... no change';

$pg->drop_database($db);
done_testing;

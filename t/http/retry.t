#!/usr/bin/perl
# What the pool does about answers of the database that are not rows: each is
# provoked by putting a function of the API behind one that misbehaves.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use lib dirname(abs_path(__FILE__)) . '/../lib';
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(sleep time);
use GoConnect::Server;

# One reading connection, so that every call meets the one that misbehaved.
my $s = GoConnect::Server->start(workers => 1, pool => 'read=1 depth=8 write=1 bulk=1', cache => 'off');
my $u = $s->register('ada');
my @as = (token => $u->{token});

$s->sql('ALTER FUNCTION api_1.auth_me RENAME TO auth_me_good');
$s->sql('ALTER FUNCTION api_1.tenants_create RENAME TO tenants_create_good');
$s->sql('CREATE SCHEMA mischief; CREATE SEQUENCE mischief.n; '
    . 'CREATE TABLE mischief.t (a int, CONSTRAINT mischief_late UNIQUE (a) DEFERRABLE INITIALLY DEFERRED)');
$s->sql('GRANT ALL ON SCHEMA mischief TO goconnect_owner; '
    . 'GRANT ALL ON ALL TABLES IN SCHEMA mischief TO goconnect_owner; '
    . 'GRANT ALL ON ALL SEQUENCES IN SCHEMA mischief TO goconnect_owner');

sub reading {
    my ($sql) = @_;
    return $s->sql("CREATE OR REPLACE FUNCTION api_1.auth_me(c api_1.ctx) RETURNS api_1.reply "
        . "LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS \$\$ BEGIN $sql; RETURN api_1.auth_me_good(c); END \$\$; "
        . 'ALTER FUNCTION api_1.auth_me OWNER TO goconnect_owner; '
        . 'GRANT EXECUTE ON FUNCTION api_1.auth_me TO goconnect; '
        . "ALTER SEQUENCE mischief.n RESTART");
}

sub writing {
    my ($sql) = @_;
    return $s->sql("CREATE OR REPLACE FUNCTION api_1.tenants_create(c api_1.ctx, b jsonb) RETURNS api_1.reply "
        . "LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS \$\$ BEGIN $sql; RETURN api_1.tenants_create_good(c, b); END \$\$; "
        . 'ALTER FUNCTION api_1.tenants_create OWNER TO goconnect_owner; '
        . 'GRANT EXECUTE ON FUNCTION api_1.tenants_create TO goconnect; '
        . "ALTER SEQUENCE mischief.n RESTART");
}

sub me { return $s->api(GET => '/v1/auth/me', undef, @as, quiet => 1) }

sub create {
    my ($name) = @_;
    return $s->api(POST => '/v1/tenants', { name => $name }, @as, quiet => 1);
}

sub made { return $s->sql("SELECT count(*) FROM goconnect.tenants WHERE name = '$_[0]'") }

my $first = "nextval('mischief.n') = 1";

for my $state (qw(40P01 40001)) {
    reading("IF $first THEN RAISE EXCEPTION 'clash' USING ERRCODE = '$state'; END IF");
    is +(me())[0], 200, "$state: a read is tried again";
    writing("IF $first THEN RAISE EXCEPTION 'clash' USING ERRCODE = '$state'; END IF");
    is +(create("once $state"))[0], 201, "$state: a write is tried again: nothing was committed";
    is made("once $state"), 1, '  and done once';
}

subtest 'a deadlock that stays' => sub {
    writing("PERFORM nextval('mischief.n'); RAISE EXCEPTION 'clash' USING ERRCODE = '40P01'");
    is +(create('never'))[0], 503, 'is given up';
    is $s->sql('SELECT last_value FROM mischief.n'), 2, 'after the second try';
};

subtest 'prepared statements that the server has lost' => sub {
    reading("IF $first THEN EXECUTE 'DEALLOCATE ALL'; END IF");
    is +(me())[0], 200, 'the call that loses them';
    for (1 .. 3) {
        is +(me())[0], 200, 'the next ones prepare theirs again';
    }
    is +($s->api(GET => '/v1/tenants', undef, @as))[0], 200, 'others too';
    writing("IF $first THEN EXECUTE 'DEALLOCATE ALL'; END IF");
    is +(create("lost $_"))[0], 201, 'and writes' for 1 .. 2;
    is made('lost 2'), 1, '  once';
};

subtest 'a change that fails at the commit' => sub {
    writing('INSERT INTO mischief.t VALUES (1), (1)');
    $s->allow(qr/mischief_late/);
    my ($status) = create('late');
    cmp_ok $status, '>=', 400, 'is not told as done, though its rows had come';
    is made('late'), 0, 'and is not';
};

subtest 'a read that takes too long' => sub {
    reading('PERFORM pg_sleep(30)');
    my $begun = time;
    my ($status, $json) = me();
    is $status, 503, 'is answered with 503';
    is $json->{code}, 'timeout', 'with its code';
    cmp_ok time - $begun, '<', 6, 'in time';
    reading('NULL');
    $begun = time;
    is +(me())[0], 200, 'those behind it on the same connection are served';
    cmp_ok time - $begun, '<', 4, 'when the server has given it up';
};

subtest 'a write that takes too long' => sub {
    $s->allow(qr/57014/);
    writing('PERFORM pg_sleep(30)');
    my ($status, $json) = create('slow');
    is $status, 503, 'is answered with 503';
    like $json->{code}, qr/^(?:outcome_unknown|timeout)$/, 'with its code';
    writing('NULL');
    is +(create('after'))[0], 201, 'the next one';
};

subtest 'a client that leaves a pipeline' => sub {
    reading('PERFORM pg_sleep(0.5)');
    my @socket = map {
        my $socket = IO::Socket::INET->new(PeerAddr => $s->url =~ s{^http://}{}r) or die $!;
        print {$socket} "GET /v1/auth/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $u->{token}\r\n\r\n";
        $socket->flush;
        $socket;
    } 1 .. 4;
    sleep 0.1;
    close $_ for @socket[ 0, 2 ];
    for my $n (1, 3) {
        my $answer = '';
        my $handle = $socket[$n];
        while ($answer !~ /"username" ?: ?"ada"/ && sysread $handle, my $more, 65536) { $answer .= $more }
        like $answer, qr{^HTTP/1\.1 200 .*"username" ?: ?"ada"}s, 'its neighbour gets its own answer';
    }
    reading('NULL');
};

subtest 'a function that is gone, and comes back' => sub {
    $s->allow(qr/auth_me/);
    $s->sql('DROP FUNCTION api_1.auth_me(api_1.ctx)');
    cmp_ok +(me())[0], '>=', 500, 'is an error of the server';
    is +($s->api(GET => '/v1/tenants', undef, @as))[0], 200, 'of that route alone';
    reading('NULL');
    is +(me())[0], 200, 'and heals without a restart';
};

$s->stop;
done_testing;

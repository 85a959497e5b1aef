#!/usr/bin/perl
# The database pool under what happens to databases: backends are killed, the
# server restarts, a table is locked, nginx reloads or loses a worker, all
# under load. Nothing but 503 may come of it, and nothing acknowledged is lost.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use lib dirname(abs_path(__FILE__)) . '/../lib';
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(sleep time);
use GoConnect::Load;
use GoConnect::Server;

my $s = GoConnect::Server->start(workers => 2, cluster => 'own', fsync => 1,
    pool => 'read=2 depth=8 write=2 bulk=1', cache => 'off');
my $u = $s->register('ada');
my @as = (token => $u->{token});
my $tenant = $s->must(201, POST => '/v1/tenants', { name => 'Home' }, @as);
my $network = $s->must(201, POST => "/v1/tenants/$tenant->{id}/networks", { name => 'Lan' }, @as);
my $messages = "/v1/networks/$network->{id}/messages";
my $round = 0;

sub chat {
    my ($text) = @_;
    return GoConnect::Load->start($s, clients => 8, request => sub {
        return (POST => $messages, { content => "$text $_[0]" }, @as);
    });
}

sub reads {
    return GoConnect::Load->start($s, clients => 8, request => sub {
        return (GET => "/v1/networks/$network->{id}/peers", undef, @as);
    });
}

# No status but 2xx and 503 (and, if said, broken connections).
sub only_503 {
    my ($result, $name, %also) = @_;
    my @other = grep { !/^(?:2\d\d|503)$/ && !$also{$_} } sort keys %{ $result->{status} };
    is_deeply \@other, [], "$name: nothing but 2xx and 503"
        or diag explain $result->{status}, $result->{code};
    cmp_ok scalar @{ $result->{acked} }, '>', 20, "$name: it did work meanwhile";
    return;
}

# Each acknowledged line is there, once.
sub kept {
    my ($result, $text, $name) = @_;
    my %count = map { split /\|/ } split /\n/, $s->sql("SELECT content, count(*) "
        . "FROM goconnect.messages WHERE content LIKE '$text %' GROUP BY 1");
    my @lost = grep { !$count{"$text $_"} } @{ $result->{acked} };
    my @twice = grep { $count{$_} > 1 } keys %count;
    is_deeply \@lost, [], "$name: nothing acknowledged is lost";
    is_deeply \@twice, [], "$name: nothing is there twice";
    return;
}

sub kill_backends {
    my ($share) = @_;
    $s->sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        . "WHERE usename = 'goconnect' AND random() < $share");
    return;
}

sub settled {
    $s->wait_ready;
    my $end = time + 10;
    sleep 0.05 while $s->connections < 12 && time < $end;
    return $s->connections;
}

# of the pool and, with the live part, of the listeners
cmp_ok settled(), '>=', 10, 'two workers keep five connections each';

subtest 'backends are killed' => sub {
    $s->allow(qr/a database connection is missing|the database is away/);
    my ($writing, $reading) = (chat('killed'), reads());
    for (1 .. 8) {
        sleep 0.25;
        kill_backends(0.3);
    }
    sleep 0.3;
    my ($writes, $reads) = ($writing->stop, $reading->stop);
    only_503($writes, 'writes');
    only_503($reads, 'reads');
    kept($writes, 'killed', 'writes');
    my %known = (outcome_unknown => 1, database_unavailable => 1);
    is_deeply [ grep { !$known{$_} } keys %{ $writes->{code} } ], [],
        'a lost write is said to be unknown';
    settled();
};

subtest 'the database restarts' => sub {
    for my $mode (qw(fast immediate)) {
        my $load = chat($mode);
        sleep 0.5;
        $s->stop_database($mode);
        sleep 0.5;
        my ($status, $json, $tx) = $s->api(GET => "/v1/networks/$network->{id}", undef, @as);
        is $status, 503, "$mode: 503 while it is away";
        is $json->{code}, 'database_unavailable', "$mode: with a code";
        ok $tx->res->headers->header('Retry-After'), "$mode: and when to come back";
        is +($s->api(GET => '/healthz'))[0], 200, "$mode: nginx itself is well";
        is +($s->api(GET => '/readyz'))[0], 503, "$mode: but not ready";
        $s->start_database;
        my $begun = time;
        $s->wait_ready;
        cmp_ok time - $begun, '<', 8, "$mode: soon back";
        sleep 0.5;
        my $result = $load->stop;
        only_503($result, $mode);
        kept($result, $mode, $mode);
        settled();
    }
    my @away = grep { /the database is away/ } split /\n/, $s->log;
    cmp_ok scalar @away, '<=', 2 * 2 + 8, 'an outage is logged once a worker, not once a request';
    is scalar(grep { /the database is away.*password/i } @away), 0, 'without secrets';
};

subtest 'a locked table' => sub {
    my $lock = open(my $psql, '|-', GoConnect::Cluster::bin_dir() . '/psql', '-qX',
        $s->conninfo(GoConnect::Cluster::os_user())) or plan skip_all => "psql: $!";
    $psql->autoflush(1);
    print {$psql} "BEGIN; LOCK TABLE goconnect.messages IN ACCESS EXCLUSIVE MODE;\n";
    sleep 0.3;
    my $load = GoConnect::Load->start($s, clients => 6, request => sub {
        return (POST => $messages, { content => "locked $_[0]" }, @as);
    });
    sleep 0.2;
    my $slowest = 0;
    for (1 .. 20) {
        my $begun = time;
        is +($s->api(GET => "/v1/networks/$network->{id}", undef, @as))[0], 200, 'a read goes on';
        $slowest = time - $begun if time - $begun > $slowest;
        sleep 0.05;
    }
    cmp_ok $slowest, '<', 1, 'and is not held up by the writes';
    my $begun = time;
    my ($status) = $s->api(POST => '/v1/tenants', { name => 'Other' }, @as);
    is $status, 201, 'a write elsewhere gets through: one network has half of the lane at most';
    cmp_ok time - $begun, '<', 1, 'at once';
    print {$psql} "ROLLBACK;\n\\q\n";
    close $psql;
    sleep 0.3;
    my $result = $load->stop;
    only_503({ %$result, acked => [ 1 .. 21 ] }, 'locked');
    cmp_ok $result->{slowest}, '<', 8, 'nobody waits for ever';
    kept($result, 'locked', 'locked');
};

subtest 'clients that leave' => sub {
    for (1 .. 40) {
        my $socket = IO::Socket::INET->new(PeerAddr => $s->url =~ s{^http://}{}r) or die $!;
        my $body = '{"content":"gone ' . $_ . '"}';
        print {$socket} "POST $messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $u->{token}\r\n",
            "Content-Type: application/json\r\nContent-Length: ", length $body, "\r\n\r\n$body";
        close $socket;
    }
    is +($s->api(GET => '/v1/auth/me', undef, @as))[0], 200, 'disturb nobody';
};

subtest 'nginx reloads' => sub {
    my ($writing, $reading) = (chat('reload'), reads());
    for (1 .. 3) {
        sleep 0.4;
        $s->reload;
    }
    my ($writes, $reads) = ($writing->stop, $reading->stop);
    # a kept-alive connection may be closed as the next request is on its way
    for my $result ($writes, $reads) {
        my %other = %{ $result->{status} };
        delete @other{qw(0 200 201)};
        is_deeply \%other, {}, 'no request is refused' or diag explain $result->{code};
    }
    kept($writes, 'reload', 'reload');
    my $end = time + 10;
    sleep 0.05 while $s->connections > 12 && time < $end;
    cmp_ok $s->connections, '<=', 12, 'the old workers have given their connections back';
};

subtest 'a worker is killed' => sub {
    my $load = chat('worker');
    sleep 0.5;
    $s->kill_worker;
    sleep 0.5;
    my $result = $load->stop;
    only_503($result, 'worker', 0 => 1);
    kept($result, 'worker', 'worker');
};

$s->stop;
done_testing;

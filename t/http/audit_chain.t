# Who chains: several nodes, workers that die, a database that goes away, keys
# that are not there.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use Mojo::IOLoop;
use Test::More;
use Time::HiRes qw(sleep time);

my $keys = GoConnect::Server::make_keys();
my $url = 'http://community.example';
my $s = GoConnect::Server->start(workers => 2, keys => $keys, cluster => 'own', public_url => $url);
my $ada = $s->register('ada');
my @tenant = map { $s->must(201, POST => '/v1/tenants', { name => "T $_" }, token => $ada->{token})->{id} } 1 .. 3;

sub waiting { return $s->sql('SELECT count(*) FROM goconnect.audit_log WHERE chain_number IS NULL') }

sub chained {
    my $end = time + 60;
    while (waiting() > 0) {
        die "not chained\n" if time > $end;
        sleep 0.05;
    }
    return;
}

# Four of a worker at a time: whoever is told to wait, waits.
sub verify {
    my ($server, $tenant, $cursor) = @_;
    my $end = time + 60;
    while (1) {
        my ($status, $json) = $server->api(GET => "/v1/tenants/$tenant/audit/verify"
            . ($cursor ? "?cursor=$cursor" : ''), undef, token => $ada->{token});
        return ($status, $json) if ($json->{code} // '') ne 'busy' || time > $end;
        sleep 0.05;
    }
}

sub rows {
    my ($n) = @_;
    $s->sql("INSERT INTO goconnect.audit_log (tenant_id, action, detail) SELECT (ARRAY['"
        . join("', '", @tenant) . "', NULL])[i % 4 + 1]::uuid, 'test.row', jsonb_build_object('i', i) "
        . "FROM generate_series(1, $n) i");
    return;
}

sub whole {
    my ($what, $server) = @_;
    chained();
    is join(' ', map {
        my (undef, $json) = verify($server // $s, $_);
        $json->{code} // ($json->{intact} ? 'whole' : "$json->{broken}{number} $json->{broken}{reason}");
    } @tenant), 'whole whole whole', "$what: whole";
    is $s->sql('SELECT count(*) FROM (SELECT chain FROM goconnect.audit_log GROUP BY chain '
        . 'HAVING count(*) <> max(chain_number) OR min(chain_number) <> 1) x'), 0, "$what: no gap in any chain";
    return;
}

rows(1000);
whole('a thousand at once');

# ----------------------------------------------------------------- two nodes

my $other = GoConnect::Server->start(workers => 2, keys => $keys, cluster => $s->pg, database => $s->database,
    public_url => $url);
for my $round (1 .. 5) {
    rows(300);
    $s->must(200, PATCH => "/v1/tenants/$tenant[0]", { description => "round $round" }, token => $ada->{token});
}
whole('two nodes');
whole('... as the other sees it', $other);
my $holder = $s->sql("SELECT holder FROM goconnect.chores WHERE name = 'audit'");
ok $holder, 'one worker has the lease';

# ------------------------------------------------------------ a worker that dies

rows(2000);
$s->kill_worker('KILL');
$other->kill_worker('KILL');
rows(500);
whole('workers that die on the way');

$other->stop;
rows(100);
whole('a node that leaves');

# ------------------------------------------------------------------ the client

rows(3000);
chained();
for my $i (1 .. 20) {
    my $c = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->{port}) or die $!;
    print $c "GET /v1/tenants/$tenant[ $i % 3 ]/audit/verify HTTP/1.1\r\nHost: x\r\n"
        . "Authorization: Bearer $ada->{token}\r\n\r\n";
    close $c;
}
whole('clients that go away while a chain is verified');
my @status;
for my $i (1 .. 12) {
    my $tx = $s->ua->build_tx(GET => $s->url . "/v1/tenants/$tenant[ $i % 3 ]/audit/verify",
        { Authorization => "Bearer $ada->{token}" });
    $s->ua->start($tx => sub { push @status, $_[1]->res->code . ' ' . ($_[1]->res->json('/code') // '') });
}
Mojo::IOLoop->one_tick while @status < 12;
is_deeply [ grep { !/^(?:200 |503 busy)$/ } @status ], [], 'many at once: verified, or told to wait';
ok scalar(grep { /^200/ } @status), '... some are';

# ------------------------------------------------------------- from a cursor on

my ($status, $json) = verify($s, $tenant[0], 700);
is "$status $json->{intact} $json->{first}", '200 1 701', 'from a cursor on';
is $json->{verified}, $json->{head}{number} - 700, '... to the end';
($status, $json) = verify($s, $tenant[0], 999_999);
is "$status $json->{broken}{reason}", '200 missing', 'from a row that is not there';

# ------------------------------------------------------------------ a database

rows(2000);
$s->restart_database;
whole('a database that was restarted on the way');

# ----------------------------------------------------------------------- no key

$s->allow(qr/the audit trail is not chained: the key file has no key for "audit"/);
$s->write_file('keys', $keys =~ s/^audit .*\n//mr, 0600);
$s->reload;
($status, $json) = verify($s, $tenant[1]);
is "$status $json->{broken}{number} $json->{broken}{reason}", '200 1 unknown_key', 'without its key nothing is verified';
my $before = waiting();
$s->must(200, PATCH => "/v1/tenants/$tenant[1]", { description => 'no key' }, token => $ada->{token});
is waiting(), $before + 1, '... and nothing chained';
$s->write_file('keys', $keys, 0600);
$s->reload;
whole('the key is back');

$s->stop;
done_testing;

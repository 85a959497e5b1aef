# A crowd of sockets that come at once waits for its own turn: a request that
# comes after it is answered at once.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use Test::More;

my $s = GoConnect::Server->start(workers => 1, pool => 'read=2 depth=4 write=2 bulk=1', cache => 'off');
my @user = map { $s->register("user$_") } 1 .. 6;

# Every hello waits for a lock that this session holds.
$s->sql(<<~'SQL');
    ALTER FUNCTION api_1.ws_hello(api_1.ctx) RENAME TO ws_hello_itself;
    CREATE FUNCTION api_1.ws_hello(ctx api_1.ctx) RETURNS api_1.reply
    LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared(815);
        RETURN api_1.ws_hello_itself(ctx);
    END
    $$;
    SQL
my $bin = GoConnect::Cluster::bin_dir();
my $as = $s->pg->conninfo($s->database, 'postgres');
open my $lock, '|-', "$bin/psql -Xq -d '$as' >/dev/null" or die "psql: $!";
$lock->autoflush;
print $lock "SELECT pg_advisory_lock(815);\n";
my $held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 815 AND granted AND mode = 'ExclusiveLock'";
my $end = time + 60;
Time::HiRes::sleep(0.02) until $s->sql($held) || time > $end;
is $s->sql($held), 1, 'no hello can be said';

my @ws = map { my $u = $_; map { $s->ws(token => $u->{token}) } 1 .. 8 } @user;
is scalar(grep { $_->is_open } @ws), 48, 'a crowd is connected';
for my $user (@user) {
    my ($status) = $s->api(GET => '/v1/auth/me', undef, token => $user->{token});
    is $status, 200, "$user->{name} is answered";
}
is scalar(grep { $_->frames } @ws), 0, '... and none of the crowd is yet';

close $lock;
is scalar(grep { $_->expect('hello') } @ws), 48, 'then all of them are';

$_->close for @ws;
undef $_ for @ws;
$s->stop;
done_testing;

# The example of conf/cluster/, tried: three machines with etcd, PostgreSQL under
# Patroni, two nodes, Redis and the load balancer, while clients write and follow
# through it. Nodes and primaries go, by their operator and by kill -9; the
# clients go on, everybody learns of a new epoch, and nothing acknowledged is
# lost. In full (FULL=1) machines are cut off and stand still, too,
# and primaries change places.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Example;
use GoConnect::History::Faults;
use GoConnect::History::Run;
use Test::More;
use Time::HiRes qw(sleep time);

my $full = $ENV{GOCONNECT_FULL};
my $seed = $ENV{SEED} || time % 100000;
diag("SEED=$seed repeats this");
my $began = time;
my $x = GoConnect::Example->start;
diag(sprintf 'the cluster is up after %.1f s', time - $began);
my $client = $x->client;

my $ada = $client->register('ada');
my $sessions = $client->must(200, GET => '/v1/auth/sessions', undef, token => $ada->{token});
is $sessions->{items}[0]{address}, $x->client_address, 'the nodes see who comes, not the load balancer';
is $x->sql('goconnect', q(SELECT string_agg(sync_state, ' ') FROM pg_stat_replication)), 'sync',
    'commits wait for the standby';

# Of a new connection; who is told to try again later does.
sub epoch {
    my $end = time + 60;
    while (time < $end) {
        my $ws = $client->ws(token => $ada->{token}, refused => 1);
        my $hello = eval { $ws->expect('hello', timeout => 20) };
        $ws->close;
        return $hello->{data}{epoch} if $hello;
        sleep 0.2;
    }
    die "no hello in a minute\n";
}

my %epoch = (epoch() => 1);

# ------------------------------------------------------------------- the faults

sub other { return $_[0] eq 'one' ? 'two' : 'one' }

# As docs/cluster.md says: nobody new, then an end, then back.
sub update_node {
    my ($machine) = @_;
    $x->balancer("set server $_/$machine state drain") for qw(ready alive);
    $x->down('nginx', $machine, 'QUIT');
    $x->up('nginx', $machine);
    $x->await("$machine to be ready", sub { $x->node_ready($machine) });
    $x->balancer("set server $_/$machine state ready") for qw(ready alive);
    return;
}

sub kill_node {
    my ($machine) = @_;
    $x->down('nginx', $machine, 'KILL');
    unlink $x->dir . "/$machine/run/goconnect-server/nginx.pid";
    $x->up('nginx', $machine);
    $x->await("$machine to be ready", sub { $x->node_ready($machine) });
    return;
}

sub switchover {
    my $old = $x->primary;
    my $began = time;
    $x->patronictl('switchover', '--master', $old, '--candidate', other($old), '--force');
    $x->await_primary(other($old));
    diag(sprintf 'switchover: another primary after %.1f s', time - $began);
    $x->await_standby;
    $epoch{ epoch() }++;
    return;
}

# The primary dies by kill -9, its Patroni too: the lock has to run out.
sub crash {
    my $old = $x->primary;
    my $began = time;
    $x->crash($old);
    $x->await_primary(other($old));
    diag(sprintf 'primary killed: another one after %.1f s', time - $began);
    $x->await('the clients to be served', sub { $x->ready });
    diag(sprintf 'clients served after %.1f s', time - $began);
    $epoch{ epoch() }++;
    $x->up('patroni', $old)->await_standby;
    return;
}

# Its machine is reached by nobody; when it is back, it must follow.
sub cut_off {
    my $old = $x->primary;
    $x->cable($old, 'down');
    $x->await_primary(other($old));
    $x->cable($old, 'up')->await_standby;
    $epoch{ epoch() }++;
    return;
}

# Patroni and PostgreSQL stand still for longer than the lock lasts.
sub stand_still {
    my $old = $x->primary;
    my @still = $x->freeze($old);
    $x->await_primary(other($old));
    kill 'CONT', @still;
    $x->await_standby;
    $epoch{ epoch() }++;
    return;
}

# PostgreSQL alone dies: Patroni starts it where it is, as a new primary.
sub recover {
    my $primary = $x->primary;
    $x->kill_postgres($primary);
    $x->await_primary($primary);
    $x->await_standby;
    $epoch{ epoch() }++;
    return;
}

# The standby dies: commits wait until Patroni lets go of it, then go on.
sub alone {
    my $standby = other($x->primary);
    $x->crash($standby);
    $x->await('commits without a standby', sub {
        return ($client->api(PATCH => '/v1/users/me', { email => 'ada@example.org' }, token => $ada->{token}))[0] == 200;
    });
    $x->up('patroni', $standby)->await_standby;
    return;
}

sub restart { my (@job) = @_; $x->down(@job, 'KILL'); $x->up(@job); return }

my @fault = (
    [ 'a node is updated' => sub { update_node('one') } ],
    [ 'a node is killed' => sub { kill_node('two') } ],
    [ 'an etcd is killed' => sub { restart('etcd', 'two') } ],
    [ 'the primary is killed' => \&crash ],
);
splice @fault, 1, 0, [ 'Redis is killed' => sub { restart('redis', 'three') } ] if $x->has_redis;
push @fault, [ 'the database of the primary alone is killed' => \&recover ], [ 'the standby is killed' => \&alone ],
    [ 'the primary is cut off' => \&cut_off ], [ 'the primary stands still' => \&stand_still ],
    [ 'a switchover' => \&switchover ], [ 'the other node is updated' => sub { update_node('two') } ],
    [ 'a switchover back' => \&switchover ] if $full;

# ------------------------------------------------------------------- the history

my $run = GoConnect::History::Run->start(nodes => [$client], seed => $seed, slices => @fault + 1,
    each => $full ? 1000 : 150);
$run->faults(sub {
    my ($what, $do) = @{ $fault[ $_[0] - 1 ] };
    my $began = time;
    $do->();
    diag(sprintf '%s: %.1f s', $what, time - $began);
});
my $result = $run->finish($client);
is_deeply $result->{violations}, [], 'nothing acknowledged is lost, nothing is invented, all is in order';
my $f = $result->{figures};
diag(sprintf '%d ops (%d acknowledged, %d unknown, %d failed; %d were tried again), %d connections, %d resyncs',
    @$f{qw(ops ok)}, map({ $_ // 0 } @$f{qw(unknown failed retried)}), @$f{qw(connections resyncs)});
cmp_ok $f->{ok}, '>', 0.9 * $f->{ops}, 'the clients go on';
my $member = $x->members;
my ($timeline) = map { $_->{timeline} } grep { $_->{role} eq 'leader' } values %$member;
is scalar(keys %epoch), $timeline, 'each promotion is a new epoch';
cmp_ok $timeline, '>=', $full ? 6 : 2, 'and there were as many as wanted';
is $f->{epochs}, 4 * (keys(%epoch) - 1), 'of which every subscriber learns';

is_deeply [ sort map { $_->{role} } values %$member ], [qw(leader sync_standby)], 'the cluster is whole again';
is $x->sql('goconnect', 'SELECT count(*) FROM goconnect.users'), 10, 'and has everybody';
is_deeply [ $x->complaints(@GoConnect::History::Faults::PROVOKED,
    qr/\[error\].*epoch/, qr/\[alert\].*(?:exited on signal 9|setrlimit)/) ], [], 'the nodes call for nobody';
$x->stop;
done_testing;

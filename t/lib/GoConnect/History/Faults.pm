package GoConnect::History::Faults;

# What befalls the nodes, the database and the clients of a run, by chance:
#
#   my $faults = GoConnect::History::Faults->new(nodes => [...], run => $run);
#   say $faults->strike;     # what it did
#
# Chance is Perl's rand: a seed gives the same faults again.

use strict;
use warnings;
use Carp qw(croak);
use List::Util qw(shuffle);
use Time::HiRes qw(sleep);

my %DO = (
    'kill a worker'     => sub { $_[0]->_worker('KILL') },
    'kill a node'       => sub { $_[0]->_node },
    'kill a backend'    => sub { $_[0]->_backend('KILL') },
    'end a backend'     => sub { $_[0]->_backend('TERM') },
    'deafen the nodes'  => sub { $_[0]->_deafen },
    'cut a client'      => sub { $_[0]->_signal('USR1', $_[0]{run}->clients) },
    'freeze a worker'   => sub { $_[0]->_freeze($_[0]->_workers) },
    'freeze a client'   => sub { $_[0]->_freeze($_[0]{run}->clients) },
    'freeze a backend'  => sub { $_[0]->_freeze($_[0]->_backends) },
    'leave one behind'  => sub { $_[0]->_leave_behind },
);

# With Redis as the bus also these.
my %BUS = (
    'kill the bus'      => sub { $_[0]->_kill_bus },
    'freeze the bus'    => sub { $_[0]->_freeze($_[0]{redis}{pid}) },
);

# What these provoke in a node's log.
our @PROVOKED = (
    qr/\[alert\].*worker process \d+ exited on signal 9/,
    qr/\[alert\].*was locked by \d+/,
    qr/\[(?:warn|error)\].*goconnect: .*(?:database|bus|LISTEN|listening)/,
);

# nodes [GoConnect::Server], run, redis (GoConnect::Redis, if it is the bus);
# kinds => [...] to strike with only these, and what a bus of its own adds
sub new {
    my ($class, %opt) = @_;
    my $self = bless { kinds => [ sort keys %DO ], deck => [], %opt }, $class;
    $self->{do} = { %DO, $opt{redis} ? %BUS : () };
    push @{ $self->{kinds} }, sort keys %BUS if $opt{redis};
    return $self;
}

# Each kind comes once before any comes again, now and then two at once; the
# kinds that did.
sub strike {
    my ($self) = @_;
    my @struck;
    do {
        $self->{deck} = [ shuffle @{ $self->{kinds} } ] if !@{ $self->{deck} };
        push @struck, shift @{ $self->{deck} };
        $self->{do}{ $struck[-1] }->($self);
    } while (rand() < 0.2);
    return @struck;
}

sub _any { return $_[ rand @_ ] }

sub _signal {
    my ($self, $signal, @pid) = @_;
    my $pid = _any(@pid) or return;
    kill $signal, $pid;
    return $pid;
}

sub _workers {
    my ($self) = @_;
    return map { sort { $a <=> $b } keys %{ $_->worker_pids } } @{ $self->{nodes} };
}

sub _worker {
    my ($self, $signal) = @_;
    my $node = _any(@{ $self->{nodes} });
    my $victim = $self->_signal($signal, sort { $a <=> $b } keys %{ $node->worker_pids });
    $node->_await('a new worker', sub {
        my $now = $node->worker_pids;
        return !$now->{$victim} && keys %$now >= $node->{workers};
    });
    return;
}

# Dead at once, and back after a while.
sub _node {
    my ($self) = @_;
    my $node = _any(@{ $self->{nodes} });
    $node->kill_all;
    sleep rand;
    $node->_launch or croak "nginx did not start:\n" . $node->log_tail;
    return;
}

# The module's database connections, by the postmaster's children.
sub _backends {
    my ($self) = @_;
    my $postmaster = $self->{nodes}[0]->pg->{pid} or return;
    open my $fh, '<', "/proc/$postmaster/task/$postmaster/children" or return;
    return grep { _title($_) =~ /^postgres: goconnect / } sort { $a <=> $b } split ' ', <$fh> // '';
}

sub _title {
    my ($pid) = @_;
    open my $fh, '<', "/proc/$pid/cmdline" or return '';
    return scalar(<$fh>) // '';
}

# By KILL the whole database starts again, from its log.
sub _backend {
    my ($self, $signal) = @_;
    $self->_signal($signal, $self->_backends);
    return;
}

# All that listen lose their connection, and what is rung meanwhile.
sub _deafen {
    my ($self) = @_;
    my $node = $self->{nodes}[0];
    return $self->{redis}->command('CLIENT', 'KILL', 'TYPE', 'pubsub') if $self->{redis};
    eval {
        $node->sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            . "WHERE datname = current_database() AND usename = 'goconnect' AND query ~ '^LISTEN|^SELECT 1\$'");
    };
    return;
}

sub _kill_bus {
    my ($self) = @_;
    $self->{redis}->kill;
    sleep rand;
    $self->{redis}->up;
    return;
}

# A client loses its connection and sleeps, while events go for which it would
# ask: as when it was away for longer than they are kept. The history still has
# them, in a table of its own.
sub _leave_behind {
    my ($self) = @_;
    my $run = $self->{run};
    my $pid = $self->_signal('USR1', $run->clients) or return;
    kill 'STOP', $pid;
    $run->reached($run->done + int($run->total / $run->{slices} / 2));
    eval { $run->prune($self->{nodes}[0], 10) };
    kill 'CONT', $pid;
    return;
}

sub _freeze {
    my ($self, @pid) = @_;
    my $pid = $self->_signal('STOP', @pid) or return;
    sleep 0.2 + rand 1;
    kill 'CONT', $pid;
    return;
}

1;

package GoConnect::Nodes;

# Several nodes that are one server: a GoConnect::Server each, on one database,
# with one key ring and one public address.
#
#   my $nodes = GoConnect::Nodes->start(count => 2, workers => 2);
#   my ($a, $b) = $nodes->all;
#   my $ada = $a->register('ada');
#   my $ws = $b->ws(token => $ada->{token});
#   $nodes->kill(1);       # kill -9 of its master and workers
#   $nodes->up(1);         # on the same port
#   $nodes->cut(0);        # all connections of its clients break off
#   $nodes->stop;          # the checks of GoConnect::Server, for each

use strict;
use warnings;
use Carp qw(croak);
use GoConnect::Server;

# count => 2; bus => 'redis://...' (the argument of goconnect_bus); node => [ {}, {} ]
# options of one node; all others go to GoConnect::Server->start as they are.
sub start {
    my ($class, %opt) = @_;
    my $count = delete $opt{count} // 2;
    my $own   = delete $opt{node} // [];
    my $bus   = delete $opt{bus};
    $opt{http} = join "\n", $opt{http} // (), "goconnect_bus $bus;" if defined $bus;
    $opt{keys} //= GoConnect::Server::make_keys();
    my $self = bless { node => [] }, $class;
    for my $i (0 .. $count - 1) {
        my $first = $self->{node}[0];
        my %more = $first ? (cluster => $first->pg, database => $first->database,
            public_url => $opt{public_url} // $first->url) : ();
        push @{ $self->{node} }, GoConnect::Server->start(%opt, %more, %{ $own->[$i] // {} });
    }
    $_->remember for $self->all;
    return $self;
}

sub all { @{ $_[0]{node} } }
sub node { $_[0]{node}[ $_[1] ] // croak "there is no node $_[1]" }
sub count { scalar @{ $_[0]{node} } }
sub pg { $_[0]->node(0)->pg }
sub sql { $_[0]->node(0)->sql($_[1]) }

# Lets a provoked line pass in the log of every node.
sub allow {
    my ($self, @pattern) = @_;
    $_->allow(@pattern) for $self->all;
    return $self;
}

# One more node, with the options of the first that are not its own.
sub add {
    my ($self, %opt) = @_;
    my $first = $self->node(0);
    my $keys = do {
        open my $fh, '<', $first->dir . '/keys' or croak "keys: $!";
        local $/;
        <$fh>;
    };
    push @{ $self->{node} }, GoConnect::Server->start(cluster => $first->pg,
        database => $first->database, public_url => $first->{public_url} // $first->url,
        keys => $keys, map({ $_ => $first->{$_} } qw(workers pool cache http server)), %opt);
    return $self->{node}[-1];
}

# kill -9 of everything of a node.
sub kill {
    my ($self, $i) = @_;
    $self->node($i)->kill_all;
    return $self;
}

# Starts a node again after kill or halt, on its port.
sub up {
    my ($self, $i) = @_;
    $self->node($i)->restart;
    return $self;
}

# Ends a node as its operator would: QUIT, which says good-bye to its sockets.
sub halt {
    my ($self, $i) = @_;
    $self->node($i)->halt;
    return $self;
}

# Breaks all connections of a node's clients off, without a close frame. Where
# the kernel lets nobody do that (it takes root), a worker is killed instead.
sub cut {
    my ($self, $i) = @_;
    my $node = $self->node($i);
    my $said = `ss -K -H -t state established '( sport = :$node->{port} )' 2>&1`;
    $node->allow(qr/recv\(\) failed \(103:/);
    $node->kill_worker if $? || $said =~ /not supported|not permitted/i;
    return $self;
}

# A reading of the counters of a node: the sum over the lines that begin so.
sub counter {
    my ($self, $i, $name) = @_;
    my $node = $self->node($i);
    my $text = $node->_new_ua->get($node->url . '/counters')->res->body;
    my $sum = 0;
    $sum += $1 while $text =~ /^\Q$name\E(?:\{[^}]*\})? (\S+)$/mg;
    return $sum;
}

# Stops all, the owner of the database last; true when all were clean. Each is
# compared with what it is now, not with its start: others had the database too.
sub stop {
    my ($self) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $clean = 1;
    for my $node (reverse $self->all) {
        $clean = 0 if !$node->remember->stop;
    }
    return $clean;
}

1;

package GoConnect::Pair;

# Two nodes with somebody on either of them, for tests of what is between.
#
#   my $pair = GoConnect::Pair->start('redis://...');   # what goconnect_bus takes
#   $pair->bus_is(1, 'the bus is up');
#   $pair->arrive(0, 3, 'what node 0 is told, both tell');
#   ok $pair->signal, 'what is never stored crosses';
#   $pair->revoked('a logout ends the sockets of either node');
#   $pair->stop;

use strict;
use warnings;
use GoConnect::Nodes;
use Test::More;

# Options are GoConnect::Nodes'.
sub start {
    my ($class, $bus, %opt) = @_;
    my $nodes = GoConnect::Nodes->start(count => 2, workers => 1, bus => $bus, %opt);
    my $s = $nodes->node(0);
    my $self = bless { nodes => $nodes, s => $s, ada => $s->register('ada'), count => 0 }, $class;
    my $token = $self->{ada}{token};
    my $t = $self->{tenant} = $s->must(201, POST => '/v1/tenants', { name => 'Hall' }, token => $token);
    $self->{topic} = "tenant:$t->{id}";
    $self->{ws} = [ map { $_->ws(token => $token) } $nodes->all ];
    for my $ws (@{ $self->{ws} }) {
        $ws->expect('hello');
        $ws->ask(subscribe => { topics => [ { topic => $self->{topic}, seq => undef } ] });
    }
    my $n = $self->{network} = $s->must(201, POST => "/v1/tenants/$t->{id}/networks",
        { name => 'lan', cidr => '10.20.0.0/16' }, token => $token);
    $s->must([ 200, 204 ], POST => "/v1/networks/$n->{id}/join", {}, token => $token);
    for my $i (0, 1) {
        my $device = $s->device($self->{ada}, name => "box$i");
        push @{ $self->{peer} }, $s->must([ 200, 201 ], POST => "/v1/networks/$n->{id}/peers",
            { public_key => GoConnect::Server::wg_key() }, token => $device->{token});
        push @{ $self->{device} }, $nodes->node($i)->ws(token => $device->{token});
        $self->{device}[-1]->expect('hello');
    }
    $self->{seq} = $s->sql("SELECT seq FROM goconnect.topics WHERE id = '$self->{topic}'") || 0;
    return $self;
}

sub stop {
    my ($self) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $_->close for @{ $self->{ws} }, @{ $self->{device} };
    return $self->{nodes}->stop;
}

sub node { $_[0]{nodes}->node($_[1]) }
sub counter { my ($self, $i, $name) = @_; return $self->{nodes}->counter($i, $name) }

# A signal from the device at node 0 to the one at node 1.
sub signal {
    my ($self) = @_;
    my $said = { count => ++$self->{count} };
    return $self->{device}[0]->ask(signal => { network_id => $self->{network}{id},
        to_peer_id => $self->{peer}[1]{id}, data => $said })->{type} eq 'ok'
        && $self->{device}[1]->expect('signal')->{data}{data}{count} == $self->{count};
}

# n messages to one node, until both sockets have them, in order, each once.
sub arrive {
    my ($self, $i, $n, $what, $content) = @_;
    my $from = $self->{seq} + 1;
    for (1 .. $n) {
        $self->node($i)->must(201, POST => "/v1/tenants/$self->{tenant}{id}/messages",
            { content => $content // 'line ' . ($self->{seq} + 1) }, token => $self->{ada}{token});
        $self->{seq}++;
    }
    for my $ws (@{ $self->{ws} }) {
        my @got = map { $ws->expect('chat_message', timeout => 30)->{seq} } 1 .. $n;
        is join(' ', @got), join(' ', $from .. $self->{seq}), $what;
    }
    return;
}

sub bus_is {
    my ($self, $up, $what) = @_;
    for my $i (0, 1) {
        $self->node($i)->_await($what, sub { $self->counter($i, 'goconnect_bus_up') == $up }, 60);
    }
    pass $what;
    return;
}

# A login whose sockets are on both nodes ends; so do they.
sub revoked {
    my ($self, $what) = @_;
    my $login = $self->{s}->login('ada');
    my @socket = map { $_->ws(token => $login->{token}) } $self->{nodes}->all;
    $_->expect('hello') for @socket;
    $self->{s}->must([ 200, 204 ], POST => '/v1/auth/logout', {}, token => $login->{token});
    is $_->closed(30), 4003, $what for @socket;
    return;
}

sub logged {
    my ($self, $pattern, $what) = @_;
    $self->{s}->_await("\"$what\" in the log", sub { $self->{s}->log =~ $pattern }, 60);
    pass $what;
    return;
}

1;

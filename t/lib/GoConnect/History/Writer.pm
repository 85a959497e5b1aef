package GoConnect::History::Writer;

# A client that writes, and notes of each thing it did what became of it. It
# does as the protocol says: a write whose outcome is unknown is sent again with
# the same key, perhaps to another node; now and then it gives up instead.
#
# Chat goes by REST and by chat_send (within the 20 messages a second of a
# socket); now and then the writer gives its peer another name.

use strict;
use warnings;
use GoConnect::History::Wire;
use Mojo::JSON qw(encode_json);
use Time::HiRes qw(sleep);

# nodes [{address, port}], name, token, tenant, networks [id], peers {id of a
# network => id}, count, seed, log (handle), tell (handle: a letter for each op),
# told (handle: a letter for each slice that it may do)
sub run {
    my ($class, %opt) = @_;
    my $self = bless { %opt, bucket => 20, filled => GoConnect::History::Wire::now(), n => 0 }, $class;
    srand $self->{seed};
    $SIG{USR1} = sub { $self->{cut} = 1 };
    $self->{node} = int rand @{ $self->{nodes} };
    for my $n (0 .. $self->{count} - 1) {
        $self->_wait if $n % $self->{slice} == 0;
        $self->_one;
    }
    return;
}

# Waits to be told to go on; a signal may come meanwhile.
sub _wait {
    my ($self) = @_;
    while (1) {
        my $n = sysread $self->{told}, my $go, 1;
        return if $n;
        die "nobody tells it to go on\n" if defined $n || !$!{EINTR};
    }
}

sub uuid { return sprintf '%08x-%04x-4%03x-8%03x-%012x', rand 2**32, rand 2**16, rand 2**12, rand 2**12, rand 2**48 }

# May one more message go by the socket?
sub _token {
    my ($self) = @_;
    my $now = GoConnect::History::Wire::now();
    $self->{bucket} += ($now - $self->{filled}) * 18;
    $self->{bucket} = 20 if $self->{bucket} > 20;
    $self->{filled} = $now;
    return 0 if $self->{bucket} < 1;
    $self->{bucket}--;
    return 1;
}

sub _one {
    my ($self) = @_;
    my $key = $self->{name} . '-' . ++$self->{n};
    my $network = $self->{networks}[ rand @{ $self->{networks} } ];
    my $how = rand() < 0.1 ? 'peer' : rand() < 0.5 && $self->_token ? 'socket' : 'rest';
    my $in_tenant = $how ne 'peer' && rand() < 0.4;
    my $op = { key => $key, how => $how, kind => $how eq 'peer' ? 'peer' : 'chat',
        topic => $in_tenant ? "tenant:$self->{tenant}" : "network:$network",
        begin => GoConnect::History::Wire::now(), attempts => 0, codes => [] };
    my $idempotency = uuid();
    my $perhaps = 0;
    my $end = $op->{begin} + 120;
    while (1) {
        $self->_obey;
        $op->{attempts}++;
        my ($result, $code, $message) = $how eq 'socket'
            ? $self->_send($in_tenant ? undef : $network, $key, $idempotency)
            : $how eq 'peer' ? $self->_rename($network, $key)
            : $self->_post($in_tenant ? undef : $network, $key, $idempotency);
        push @{ $op->{codes} }, $code if @{ $op->{codes} } < 20;
        if ($result eq 'ok') {
            @$op{qw(result seq number)} = ('ok', @$message{qw(seq number)});
            last;
        }
        $perhaps ||= $result eq 'unknown';
        if ($result eq 'refused' || rand() < 0.05 || GoConnect::History::Wire::now() > $end) {
            $op->{result} = $perhaps ? 'unknown' : 'failed';
            $op->{refused} = 1 if $result eq 'refused';
            last;
        }
        $self->{node} = int rand @{ $self->{nodes} };
        # as a client waits: longer each time, and not all at once
        my $wait = 0.02 * 2 ** ($op->{attempts} > 6 ? 6 : $op->{attempts});
        sleep $wait * (0.5 + rand);
    }
    $op->{end} = GoConnect::History::Wire::now();
    print { $self->{log} } encode_json($op), "\n";
    syswrite $self->{tell}, $op->{result} eq 'ok' ? 'a' : 'n';
    return;
}

# Who drives the test wants the connections cut.
sub _obey {
    my ($self) = @_;
    return if !delete $self->{cut};
    (delete $self->{$_} // next)->cut for qw(rest socket);
    return;
}

sub _rest {
    my ($self) = @_;
    my $rest = $self->{rest};
    if (!$rest || $rest->{node} != $self->{nodes}[ $self->{node} ]) {
        $rest->cut if $rest;
        $rest = $self->{rest} = GoConnect::History::Wire->new($self->{nodes}[ $self->{node} ]);
    }
    return $rest;
}

sub _judge {
    my ($status, $json) = @_;
    return ('ok', $status, $json) if $status >= 200 && $status < 300;
    return ($status ? 'unknown' : 'none', $status ? 'no answer' : 'no connection') if $status <= 0;
    my $code = (ref $json && $json->{code}) // $status;
    return ('none', $code) if $status == 429 || $status == 503 && $code ne 'outcome_unknown';
    return ($status >= 500 ? 'unknown' : 'refused', $code);
}

sub _post {
    my ($self, $network, $key, $idempotency) = @_;
    my $path = defined $network ? "networks/$network" : "tenants/$self->{tenant}";
    return _judge($self->_rest->request(POST => "/v1/$path/messages", { content => $key },
        token => $self->{token}, cut => rand() < 0.01,
        headers => { 'Idempotency-Key' => $idempotency }));
}

sub _rename {
    my ($self, $network, $key) = @_;
    return _judge($self->_rest->request(PATCH => "/v1/peers/$self->{peers}{$network}",
        { name => $key }, token => $self->{token}, cut => rand() < 0.01));
}

sub _send {
    my ($self, $network, $key, $idempotency) = @_;
    if (!$self->{socket} || !$self->{socket}->open) {
        ($self->{socket}) = GoConnect::History::Wire->socket($self->{nodes}[ $self->{node} ],
            "token=$self->{token}") or return ('none', 'no socket');
        @$self{qw(bucket filled)} = (20, GoConnect::History::Wire::now());
    }
    my $ws = $self->{socket};
    $ws->say({ type => 'chat_send', id => $idempotency, data => { content => $key,
        key => $idempotency, defined $network ? (network_id => $network)
        : (tenant_id => $self->{tenant}) } });
    my $end = GoConnect::History::Wire::now() + 10;
    while ((my $left = $end - GoConnect::History::Wire::now()) > 0) {
        my $frame = $ws->frame($left);
        last if !$frame;
        next if ($frame->{id} // '') ne $idempotency;
        return ('ok', 'ok', $frame->{data}) if $frame->{type} eq 'ok';
        return _judge($frame->{data}{status}, $frame->{data});
    }
    my $code = 'socket ' . $ws->code;
    $ws->cut;
    return ('unknown', $code);
}

1;

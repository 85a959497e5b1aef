package GoConnect::History::Subscriber;

# A client that follows topics and notes all that it sees. It does as the
# protocol says: it comes back and resumes at the last seq, drops nothing, and
# fetches afresh where it is told to, or where the epoch is another one. With a
# device's token it follows the netmaps too.

use strict;
use warnings;
use GoConnect::History::Wire;
use IO::Select;
use Mojo::JSON qw(decode_json encode_json);
use Time::HiRes qw(sleep);

my $PATIENCE = 30;    # seconds for an answer, or for the next part of a map

# nodes, name, token, device (1: it is one), topics { TOPIC => seq to begin at,
# undef: from now }, seed, log, tell (handle: `d` done, and its letter each time
# that it is in step), letter, told (handle from which it hears where to end: one
# line, {TOPIC: seq})
sub run {
    my ($class, %opt) = @_;
    my $self = bless { %opt, at => { %{ $opt{topics} } }, begin => { %{ $opt{topics} } },
        map => {}, asked => {}, lacks => {} }, $class;
    srand $self->{seed};
    $SIG{USR1} = sub { $self->{cut} = 1 };
    my ($failed, $lost) = (0);
    while (!$self->_done) {
        my $node = $self->{nodes}[ rand @{ $self->{nodes} } ];
        if ($self->_session($node, $lost)) {
            $lost = GoConnect::History::Wire::now();
            $failed = 0;
        }
        last if $self->_done;
        my $wait = $self->{retry_after} // 0.03 * 2 ** ($failed > 6 ? 6 : $failed);
        delete $self->{retry_after};
        $failed++;
        sleep $wait * (0.5 + rand);
    }
    $self->_note('final', topic => $_, version => $self->{map}{$_}{version},
        peers => $self->{map}{$_}{peers}) for sort keys %{ $self->{map} };
    syswrite $self->{tell}, 'd';
    return;
}

sub _note {
    my ($self, $e, %entry) = @_;
    print { $self->{log} } encode_json({ e => $e, t => GoConnect::History::Wire::now(), %entry }), "\n";
    return;
}

# Has it come to where it was told to end?
sub _done {
    my ($self) = @_;
    if (!$self->{end} && IO::Select->new($self->{told})->can_read(0)) {
        my $line = readline $self->{told};
        exit 1 if !defined $line;
        $self->{end} = decode_json($line);
    }
    my $end = $self->{end} or return 0;
    return $self->_in_step({ map { $_ => $end->{$_} // 0 } keys %{ $self->{at} } });
}

# ------------------------------------------------------------------ a session

# From a connection to its end; whether it got as far as hello.
sub _session {
    my ($self, $node, $lost) = @_;
    my $began = GoConnect::History::Wire::now();
    my $query = $self->_credential($node) or return 0;
    my ($ws, $hello) = GoConnect::History::Wire->socket($node, $query) or return 0;
    @$self{qw(ws node)} = ($ws, $node);
    $self->_note('hello', epoch => $hello->{data}{epoch}, node => $hello->{data}{node});
    my $fresh = defined $self->{epoch} && $self->{epoch} ne $hello->{data}{epoch};
    $self->{epoch} = $hello->{data}{epoch};
    $self->{void} = { map { $_ => 'epoch' } keys %{ $self->{at} } } if $fresh;
    $self->{goal} = undef;
    $self->{asked} = {};
    $self->{count} = 0;
    $self->_subscribe(keys %{ $self->{at} });
    my $heard = $began;
    while ($ws->open) {
        $ws->cut if delete $self->{cut};
        my $frame = $ws->frame(0.2);
        $heard = GoConnect::History::Wire::now() if $frame;
        $self->_take($frame) if $frame;
        $self->_give_up if $self->_waits && GoConnect::History::Wire::now() - $heard > $PATIENCE;
        if ($self->{goal} && $self->_in_step($self->{goal})) {
            my $now = GoConnect::History::Wire::now();
            $self->_note('caught', took => $now - $began, events => $self->{count},
                defined $lost ? (down => $now - $lost) : ());
            $self->{goal} = undef;
            syswrite $self->{tell}, $self->{letter};
        }
        $ws->cut if $self->_done;
    }
    $self->_note('lost', code => $ws->code);
    return 1;
}

# Is something missing that was asked for?
sub _waits {
    my ($self) = @_;
    return %{ $self->{asked} } || grep { $_ } values %{ $self->{lacks} };
}

# The agent and the dashboard come back, too, when an answer does not come. It is
# said, for whoever reads the log: it should not be needed.
sub _give_up {
    my ($self) = @_;
    print STDERR "# subscriber $self->{letter}: nothing for $PATIENCE s, asked for ",
        encode_json([ sort map { keys %$_ } values %{ $self->{asked} } ]), ', lacks ',
        encode_json([ sort grep { $self->{lacks}{$_} } keys %{ $self->{lacks} } ]), "\n";
    $self->_note('gave up');
    $self->{ws}->cut;
    return;
}

sub _in_step {
    my ($self, $goal) = @_;
    return !grep { !defined $self->{at}{$_} || $self->{at}{$_} < $goal->{$_} || $self->{lacks}{$_} }
        keys %$goal;
}

# A token, or a ticket, perhaps of another node.
sub _credential {
    my ($self, $node) = @_;
    return "token=$self->{token}" if rand() < 0.7;
    my $other = $self->{nodes}[ rand @{ $self->{nodes} } ];
    my ($status, $json) = GoConnect::History::Wire->new($other)->request(POST => '/v1/ws/ticket',
        undef, token => $self->{token});
    return $status == 201 || $status == 200 ? "ticket=$json->{ticket}" : undef;
}

sub _subscribe {
    my ($self, @topic) = @_;
    my $id = 'r' . ++$self->{id};
    # a map that was on its way when the connection was lost is asked for again
    my %from = map { $_ => $self->{void}{$_} || $self->{lacks}{$_} ? undef : $self->{at}{$_} } @topic;
    $self->{asked}{$id} = \%from;
    # a map that a device asks for, and has to have
    $self->{lacks}{$_} = 1 for grep { $self->{device} && !defined $from{$_} } @topic;
    $self->{ws}->say({ type => 'subscribe', id => $id, data => {
        topics => [ map { { topic => $_, seq => $from{$_} } } sort @topic ] } });
    return;
}

# ---------------------------------------------------------------------- frames

sub _take {
    my ($self, $frame) = @_;
    my ($type, $topic, $data) = @$frame{qw(type topic data)};
    if (defined $frame->{id}) {
        return $self->_answer($frame);
    }
    if ($type eq 'error') {
        $self->{retry_after} = $data->{retry_after} if defined $data->{retry_after};
        return $self->_note('error', code => $data->{code});
    }
    return if !defined $topic || !exists $self->{at}{$topic};
    return $self->_netmap($frame) if $type eq 'netmap';
    return $self->_resync($topic, $frame->{seq}, $data->{reason}) if $type eq 'resync';
    return $self->_event($frame) if defined $frame->{seq} && $type ne 'self';
    return;
}

sub _answer {
    my ($self, $frame) = @_;
    my $from = delete $self->{asked}{ $frame->{id} } or return;
    if ($frame->{type} ne 'ok') {
        $self->_note('error', code => $frame->{data}{code});
        $self->{ws}->cut;
        return;
    }
    my %goal = %{ $self->{goal} // {} };
    for my $topic (@{ $frame->{data}{topics} }) {
        my ($name, $seq) = @$topic{qw(topic seq)};
        $self->_note('sub', topic => $name, from => $from->{$name}, seq => $seq);
        $goal{$name} = $seq;
        if (my $reason = $self->{void}{$name}) {
            delete $self->{void}{$name};
            $self->_resync($name, $seq, $reason) if !ref $reason;
        }
        # from now on; a device's map says where it begins
        $self->{begin}{$name} //= $seq;
        $self->{at}{$name} //= $seq;
    }
    $self->_note('refused', topic => $_->{topic}, code => $_->{code}) for @{ $frame->{data}{refused} };
    $self->{goal} = \%goal;
    return;
}

# What an event says, as the writers' keys.
sub _key {
    my ($frame) = @_;
    my $data = $frame->{data};
    return $data->{content} if $frame->{type} eq 'chat_message';
    return join ' ', map { $_->{name} } @{ $data->{upsert} } if $frame->{type} eq 'netmap_delta';
    return $frame->{type};
}

sub _event {
    my ($self, $frame) = @_;
    my ($topic, $seq) = @$frame{qw(topic seq)};
    $self->_note('ev', topic => $topic, seq => $seq, key => _key($frame));
    $self->{count}++;
    return if $seq <= $self->{at}{$topic};
    $self->{at}{$topic} = $seq;
    $self->_delta($topic, $frame->{data}) if $frame->{type} eq 'netmap_delta' && $self->{device};
    return;
}

sub _netmap {
    my ($self, $frame) = @_;
    my ($topic, $data) = @$frame{qw(topic data)};
    my $map = $self->{coming}{$topic};
    $map = $self->{coming}{$topic} = { version => $data->{version}, peers => {} } if $data->{part} == 0;
    $map->{peers}{ $_->{id} } = $_->{name} for @{ $data->{peers} };
    return if !$data->{last};
    $self->{map}{$topic} = delete $self->{coming}{$topic};
    delete $self->{lacks}{$topic};
    $self->_note('map', topic => $topic, seq => $frame->{seq}, version => $map->{version});
    # it is the topic as it was at seq: what was said until then has to be fetched
    $self->_resync($topic, $frame->{seq}, 'map') if $frame->{seq} > $self->{at}{$topic};
    return;
}

sub _delta {
    my ($self, $topic, $data) = @_;
    # what comes before the map that it has asked for changes another one
    return if $self->{lacks}{$topic};
    my $map = $self->{map}{$topic};
    $self->_note('delta', topic => $topic, version => $data->{version}, base => $data->{base_version},
        known => $map && $map->{version});
    return if !$map;
    if ($map->{version} != $data->{base_version}) {
        # the map, once more
        $self->{void}{$topic} = \1;
        return $self->_subscribe($topic);
    }
    $map->{peers}{ $_->{id} } = $_->{name} for @{ $data->{upsert} };
    delete $map->{peers}{$_} for @{ $data->{remove} };
    $map->{version} = $data->{version};
    return;
}

# Drop what is known of the topic, fetch afresh.
sub _resync {
    my ($self, $topic, $seq, $reason) = @_;
    $self->_note('resync', topic => $topic, seq => $seq, reason => $reason);
    my ($kind, $id) = split /:/, $topic;
    my $after = $self->{begin}{$topic};
    my @item;
    my $wire = GoConnect::History::Wire->new($self->{node});
    while (1) {
        my ($status, $json) = $wire->request(GET => "/v1/${kind}s/$id/messages?limit=100&after_seq=$after",
            undef, token => $self->{token});
        if ($status != 200) {
            # it comes back, and is told again what it lacks
            $self->{void}{$topic} = $reason;
            $self->{ws}->cut;
            return;
        }
        push @item, map { [ $_->{seq}, $_->{content} ] } grep { $_->{seq} <= $seq } @{ $json->{items} };
        last if !defined($after = $json->{next_cursor});
    }
    $self->_note('fetch', topic => $topic, items => \@item);
    $self->{at}{$topic} = $seq;
    $self->{lacks}{$topic} = 1 if $self->{device} && $reason ne 'map';
    # a map was asked for already, or is what brought it here
    return if !$self->{device} || $reason eq 'epoch' || $reason eq 'map';
    $self->{void}{$topic} = \1;
    $self->_subscribe($topic);
    return;
}

1;

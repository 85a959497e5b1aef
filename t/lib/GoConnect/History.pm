package GoConnect::History;

# Checks what clients saw of a server against what they did to it, as Jepsen
# does: nothing here talks to a server. See t/soak/checker.t for an example of
# each violation.
#
#   my $result = GoConnect::History::check(
#       ops       => [ ... ],     # what writers did
#       truth     => { TOPIC => { SEQ => KEY } },  # what the database has at last
#       maps      => { TOPIC => { version => N, peers => { ID => NAME } } },
#       observers => { NAME => [ ... ] },          # what subscribers saw, in order
#   );
#   # { violations => [ "lost: ..." ], figures => { ... } }
#
# An op: { key, topic, kind => 'chat'|'peer', begin, end, result, seq, number };
# key is unique, and is what the event carries. result is `ok` (acknowledged),
# `unknown` (perhaps done) or `failed` (the server said that it did nothing). A
# peer's change is not told its seq.
#
# What an observer saw, each with the time t:
#   { e => 'sub', topic, from, seq }      the answer: from what, up to where now
#   { e => 'ev', topic, seq, key }        an event, as it came
#   { e => 'resync', topic, seq, reason } what is known of the topic is void
#   { e => 'fetch', topic, items => [[seq, key]] }    fetched afresh, up to there
#   { e => 'map', topic, seq, version, peers }        a whole netmap
#   { e => 'delta', topic, version, base, known }     known: the map it met
#   { e => 'hello', epoch, node }, { e => 'lost' }
#   { e => 'caught', took, down, events } in step again: since it connected, and
#                                         since the connection was lost
#   { e => 'final', topic, version, peers }           the map at the end

use strict;
use warnings;

my $WORST = 20;    # violations of one kind that are told in full

sub check {
    my (%h) = @_;
    my $self = bless { %h, violations => [], told => {}, figures => {} }, __PACKAGE__;
    $self->{op} = { map { $_->{key} => $_ } @{ $h{ops} } };
    $self->_writes;
    $self->_real_time;
    $self->_numbers;
    my %figure = (events => 0, duplicates => 0, resyncs => 0, connections => 0, catch_up => [],
        outage => [], lag => []);
    for my $name (sort keys %{ $h{observers} }) {
        $self->_observer($name, $h{observers}{$name}, \%figure);
    }
    return { violations => $self->_violations, figures => $self->_figures(\%figure) };
}

sub _wrong {
    my ($self, $kind, $text) = @_;
    push @{ $self->{violations} }, "$kind: $text" if ++$self->{told}{$kind} <= $WORST;
    return;
}

sub _violations {
    my ($self) = @_;
    my @more = map { "$_: and " . ($self->{told}{$_} - $WORST) . ' more' }
        grep { $self->{told}{$_} > $WORST } sort keys %{ $self->{told} };
    return [ @{ $self->{violations} }, @more ];
}

# ------------------------------------------------------------- what was written

# Each acknowledged op is in the database, once and where its answer said; what
# the database has is an op that somebody asked for.
sub _writes {
    my ($self) = @_;
    my %at;
    for my $topic (sort keys %{ $self->{truth} }) {
        my $events = $self->{truth}{$topic};
        my $last;
        for my $seq (sort { $a <=> $b } keys %$events) {
            my $key = $events->{$seq};
            $self->_wrong(hole => "$topic has no event between $last and $seq")
                if defined $last && $seq != $last + 1;
            $last = $seq;
            $self->_wrong(repeated => "$key is at $topic $seq and at $at{$key}{topic} $at{$key}{seq}")
                if $at{$key};
            $at{$key} //= { topic => $topic, seq => $seq };
            my $op = $self->{op}{$key};
            if (!$op) {
                $self->_wrong(invented => "nobody wrote $key, which is at $topic $seq");
            } elsif ($op->{result} eq 'failed') {
                $self->_wrong(refused => "$key was said not to be done; it is at $topic $seq");
            }
        }
    }
    for my $op (@{ $self->{ops} }) {
        next if $op->{result} ne 'ok';
        my $is = $at{ $op->{key} };
        if (!$is) {
            $self->_wrong(lost => "$op->{key} was acknowledged"
                . (defined $op->{seq} ? " as $op->{topic} $op->{seq}" : ''));
        } elsif ($is->{topic} ne $op->{topic} || defined $op->{seq} && $is->{seq} != $op->{seq}) {
            $self->_wrong(moved => "$op->{key} was acknowledged as $op->{topic} "
                . ($op->{seq} // '?') . "; it is $is->{topic} $is->{seq}");
        }
    }
    $self->{at} = \%at;
    return;
}

# Who began after another had been acknowledged comes behind it in the topic.
sub _real_time {
    my ($self) = @_;
    my %of;
    for my $op (@{ $self->{ops} }) {
        my $is = $self->{at}{ $op->{key} } or next;
        push @{ $of{ $is->{topic} } }, [ $is->{seq}, $op ];
    }
    for my $topic (sort keys %of) {
        # from the last one to the first: the earliest end among those behind it
        my $earliest;
        for my $pair (sort { $b->[0] <=> $a->[0] } @{ $of{$topic} }) {
            my ($seq, $op) = @$pair;
            $self->_wrong(realtime => "$op->{key} ($topic $seq) began after "
                . "$earliest->{key} was acknowledged, and comes before it")
                if $earliest && $op->{begin} > $earliest->{end};
            $earliest = $op
                if $op->{result} eq 'ok' && (!$earliest || $op->{end} < $earliest->{end});
        }
    }
    return;
}

# A channel's messages are numbered in the order of seq, each number once.
sub _numbers {
    my ($self) = @_;
    my (%of, %first);
    for my $op (grep { defined $_->{number} } @{ $self->{ops} }) {
        my $is = $self->{at}{ $op->{key} } or next;
        push @{ $of{ $is->{topic} } }, [ $is->{seq}, $op->{number}, $op->{key} ];
    }
    for my $topic (sort keys %of) {
        my $last;
        for my $m (sort { $a->[0] <=> $b->[0] } @{ $of{$topic} }) {
            $self->_wrong(number => "$m->[2] ($topic $m->[0]) has number $m->[1] after $last->[1]")
                if $last && $m->[1] <= $last->[1];
            # between the two, as many events of the topic as numbers at least
            $self->_wrong(number => "$topic: numbers $last->[1] and $m->[1] at $last->[0] and $m->[0]")
                if $last && $m->[1] - $last->[1] > $m->[0] - $last->[0];
            $last = $m;
        }
    }
    return;
}

# --------------------------------------------------------------- what was seen

sub _observer {
    my ($self, $name, $log, $figure) = @_;
    my $o = { name => $name, topic => {}, figure => $figure, final => {} };
    my %do = (hello => \&_hello, sub => \&_sub, ev => \&_event, resync => \&_resync,
        fetch => \&_fetch, map => \&_map, delta => \&_delta, caught => \&_caught,
        final => sub { $_[1]{final}{ $_[2]{topic} } = $_[2] });
    for my $entry (@$log) {
        my $step = $do{ $entry->{e} } or next;
        $step->($self, $o, $entry);
    }
    $self->_complete($o, $_) for sort keys %{ $o->{topic} };
    $self->_wrong(short => "$name saw nothing at all") if !%{ $o->{topic} };
    return;
}

# Another epoch is another history: what was seen counts for nothing.
sub _hello {
    my ($self, $o, $entry) = @_;
    $o->{figure}{connections}++;
    if (defined $o->{epoch} && $entry->{epoch} ne $o->{epoch}) {
        $o->{figure}{epochs}++;
        for my $t (values %{ $o->{topic} }) {
            @$t{qw(stale seen fetched)} = (1, {}, {});
        }
    }
    $o->{epoch} = $entry->{epoch};
    return;
}

sub _sub {
    my ($self, $o, $entry) = @_;
    my $t = $o->{topic}{ $entry->{topic} };
    if (!$t) {
        my $from = $entry->{from} // $entry->{seq};
        $o->{topic}{ $entry->{topic} } = { at => $from, begin => $from, seen => {}, fetched => {} };
    } elsif (defined $entry->{from} && $t->{stale}) {
        $self->_wrong(epoch => "$o->{name} resumed $entry->{topic} at $entry->{from} of another epoch");
    } elsif (defined $entry->{from} && $entry->{from} != $t->{at}) {
        $self->_wrong(client => "$o->{name} resumed $entry->{topic} at $entry->{from}, not at $t->{at}");
    }
    return;
}

sub _event {
    my ($self, $o, $entry) = @_;
    my ($topic, $seq, $key) = @$entry{qw(topic seq key)};
    my $t = $o->{topic}{$topic};
    if (!$t) {
        $self->_wrong(order => "$o->{name}: $topic $seq came before the topic was subscribed to");
        return;
    }
    $o->{figure}{events}++;
    my $op = $self->{op}{$key};
    $self->_wrong(invented => "$o->{name} saw $key at $topic $seq, which nobody wrote") if !$op;
    if (defined(my $before = $t->{seen}{$seq})) {
        $o->{figure}{duplicates}++;
        $self->_wrong(diverged => "$o->{name} saw $before at $topic $seq, and then $key")
            if $before ne $key;
    } elsif ($seq <= $t->{at}) {
        # it lies within what was known otherwise: too much, but no harm
        $o->{figure}{duplicates}++;
    } else {
        $self->_wrong(order => "$o->{name}: $topic $seq came after $t->{at}") if $seq != $t->{at} + 1;
        $t->{at} = $seq;
        push @{ $o->{figure}{lag} }, $entry->{t} - $op->{end}
            if $op && $op->{result} eq 'ok' && defined $entry->{t};
    }
    $t->{seen}{$seq} = $key;
    return;
}

# From here on the client knows what it fetches, up to seq.
sub _resync {
    my ($self, $o, $entry) = @_;
    my $t = $o->{topic}{ $entry->{topic} } or return;
    $o->{figure}{resyncs}++ if ($entry->{reason} // '') ne 'map';
    $self->_wrong(order => "$o->{name}: a resync of $entry->{topic} goes back from $t->{at} to $entry->{seq}")
        if $entry->{seq} < $t->{at} && !$t->{stale};
    @$t{qw(at stale)} = ($entry->{seq}, 0);
    $t->{void} = $entry->{seq};
    return;
}

sub _fetch {
    my ($self, $o, $entry) = @_;
    my $t = $o->{topic}{ $entry->{topic} } or return;
    $t->{fetched}{ $_->[0] } = $_->[1] for @{ $entry->{items} };
    return;
}

sub _map {
    my ($self, $o, $entry) = @_;
    my $t = $o->{topic}{ $entry->{topic} } or return;
    $self->_wrong(version => "$o->{name}: the map of $entry->{topic} goes back from version "
        . "$t->{version} to $entry->{version}")
        if defined $t->{version} && $entry->{version} < $t->{version};
    $t->{version} = $entry->{version};
    return;
}

sub _delta {
    my ($self, $o, $entry) = @_;
    my $t = $o->{topic}{ $entry->{topic} } or return;
    $self->_wrong(version => "$o->{name}: $entry->{topic}: a delta from version $entry->{base} "
        . 'met a map of version ' . ($entry->{known} // 'none'))
        if ($entry->{known} // -1) != $entry->{base};
    $self->_wrong(version => "$o->{name}: $entry->{topic}: a delta leads from $entry->{base} to $entry->{version}")
        if $entry->{version} <= $entry->{base};
    $t->{version} = $entry->{version};
    return;
}

sub _caught {
    my ($self, $o, $entry) = @_;
    push @{ $o->{figure}{catch_up} }, $entry->{took};
    push @{ $o->{figure}{outage} }, $entry->{down} if defined $entry->{down};
    return;
}

# Whatever was acknowledged after it began has been seen, and is what the
# database has; a map that was kept up is the database's.
sub _complete {
    my ($self, $o, $topic) = @_;
    my $t = $o->{topic}{$topic};
    my $truth = $self->{truth}{$topic} // {};
    my ($end) = sort { $b <=> $a } keys %$truth;
    $self->_wrong(short => "$o->{name} is at $topic $t->{at}, the topic at $end")
        if defined $end && $t->{at} < $end;
    for my $seq (sort { $a <=> $b } keys %$truth) {
        next if $seq <= $t->{begin};
        my $key = $truth->{$seq};
        my $saw = $t->{seen}{$seq} // $t->{fetched}{$seq};
        if (!defined $saw) {
            my $op = $self->{op}{$key} or next;
            next if $op->{result} ne 'ok';
            next if $op->{kind} eq 'peer' && defined $t->{void} && $seq <= $t->{void};
            $self->_wrong(missing => "$o->{name} never saw $key ($topic $seq), which was acknowledged");
        } elsif ($saw ne $key) {
            $self->_wrong(diverged => "$o->{name} saw $saw at $topic $seq; the database has $key");
        }
    }
    for my $seq (sort { $a <=> $b } keys %{ $t->{seen} }) {
        $self->_wrong(vanished => "$o->{name} saw $t->{seen}{$seq} at $topic $seq, which is not in the database")
            if !defined $truth->{$seq};
    }
    $self->_final_map($o, $topic);
    return;
}

sub _final_map {
    my ($self, $o, $topic) = @_;
    my $mine = $o->{final}{$topic} or return;
    my $its = $self->{maps}{$topic} or return;
    $self->_wrong(map => "$o->{name} has version $mine->{version} of $topic, the database $its->{version}")
        if $mine->{version} != $its->{version};
    my %id = map { $_ => 1 } keys %{ $mine->{peers} }, keys %{ $its->{peers} };
    for my $id (sort keys %id) {
        my ($a, $b) = map { $_->{peers}{$id} // '(none)' } $mine, $its;
        $self->_wrong(map => "$o->{name} calls peer $id of $topic $a, the database $b") if $a ne $b;
    }
    return;
}

# -------------------------------------------------------------------- figures

# The value that the share of them does not exceed.
sub percentile {
    my ($share, @value) = @_;
    return undef if !@value;
    @value = sort { $a <=> $b } @value;
    my $at = int($share * @value);
    return $value[ $at > $#value ? $#value : $at ];
}

sub _figures {
    my ($self, $figure) = @_;
    my %result;
    for my $op (@{ $self->{ops} }) {
        $result{ops}++;
        $result{ $op->{result} }++;
        $result{retried}++ if ($op->{attempts} // 1) > 1;
    }
    $result{$_} = $figure->{$_} // 0 for qw(events duplicates resyncs connections epochs);
    $result{duplicate_share} = $figure->{events} ? $figure->{duplicates} / $figure->{events} : 0;
    for my $name (qw(catch_up outage lag)) {
        my @value = @{ $figure->{$name} };
        $result{$name} = { n => scalar @value, p50 => percentile(0.5, @value),
            p99 => percentile(0.99, @value), max => percentile(1, @value) };
    }
    return \%result;
}

1;

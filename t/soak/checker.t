# The checker of histories, against fabricated ones: each kind of violation is
# found, and only it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::History;
use Test::More;

my $T = 'network:n';

# A history without a fault: two writers, two who watch. s2 is a device.
sub history {
    my @op = map { { key => "w1-$_", kind => 'chat', topic => $T, begin => $_, end => $_ + 0.5,
        result => 'ok', seq => 10 + $_, number => $_ } } 1 .. 6;
    # a peer's change is not told its seq, nor has it a number
    delete @{ $op[3] }{qw(seq number)};
    $op[3]{kind} = 'peer';
    $op[4]{number} = 4;
    $op[5]{number} = 5;
    my @event = map { { e => 'ev', t => 100 + $_, topic => $T, seq => 10 + $_, key => "w1-$_" } } 1 .. 6;
    my %map = (version => 14, peers => { p => 'w1-4' });
    return {
        ops => \@op,
        truth => { $T => { map { 10 + $_ => "w1-$_" } 1 .. 6 } },
        maps => { $T => { %map } },
        observers => {
            s1 => [
                { e => 'hello', epoch => 'a' }, { e => 'sub', topic => $T, from => 10, seq => 10 },
                @event[0 .. 2], { e => 'lost' },
                { e => 'hello', epoch => 'a' }, { e => 'sub', topic => $T, from => 13, seq => 15 },
                @event[3 .. 4], { e => 'caught', took => 0.1, down => 0.2, events => 2 }, $event[5],
            ],
            s2 => [
                { e => 'hello', epoch => 'a' }, { e => 'sub', topic => $T, seq => 10 },
                { e => 'map', topic => $T, seq => 10, version => 9 }, @event[0 .. 3],
                { e => 'delta', topic => $T, base => 9, version => 14, known => 9 }, @event[4 .. 5],
                { e => 'final', topic => $T, version => 14, peers => { p => 'w1-4' } },
            ],
        },
    };
}

sub check { return GoConnect::History::check(%{ $_[0] }) }

my $fine = check(history());
is_deeply $fine->{violations}, [], 'a history without a fault has no violation';
is_deeply [ @{ $fine->{figures} }{qw(ops ok events duplicates connections resyncs)} ], [ 6, 6, 12, 0, 3, 0 ],
    'its figures';
is $fine->{figures}{catch_up}{p99}, 0.1, 'how long it took to be in step';
is $fine->{figures}{outage}{p99}, 0.2, 'since the connection was lost';

# The history that a change makes has violations of these kinds, and no others.
sub finds {
    my ($what, $kinds, $change) = @_;
    my $h = history();
    $change->($h, $h->{observers}{s1}, $h->{observers}{s2});
    my $result = check($h);
    my %kind = map { /^(\w+):/ ? ($1 => 1) : () } @{ $result->{violations} };
    is join(' ', sort keys %kind), $kinds, $what or diag(join "\n", @{ $result->{violations} });
    return $result;
}

# Takes out, or puts in, what is at a place of an observer's log.
sub without { my ($log, $seq) = @_; @$log = grep { $_->{e} ne 'ev' || $_->{seq} != $seq } @$log; return }
sub event { my ($log, $seq) = @_; return (grep { $_->{e} eq 'ev' && $_->{seq} == $seq } @$log)[0] }

# ------------------------------------------------------------- what was written

finds 'acknowledged, and gone with the end of the topic', 'lost vanished', sub {
    my ($h) = @_;
    delete $h->{truth}{$T}{16};
};
finds 'acknowledged, gone, and nobody saw it', 'lost', sub {
    my ($h, @log) = @_;
    delete $h->{truth}{$T}{16};
    without($_, 16) for @log;
};
finds 'a peer\'s change that was acknowledged and is gone', 'hole lost vanished', sub {
    my ($h) = @_;
    delete $h->{truth}{$T}{14};
};
finds 'acknowledged at another place', 'moved', sub { $_[0]{ops}[2]{seq} = 12 };
finds 'acknowledged in another topic', 'moved', sub { $_[0]{ops}[2]{topic} = 'tenant:t' };
finds 'written twice', 'repeated', sub {
    my ($h, @log) = @_;
    $h->{truth}{$T}{17} = 'w1-6';
    push @$_, { e => 'ev', topic => $T, seq => 17, key => 'w1-6' } for @log;
};
finds 'in the database, and written by nobody', 'invented', sub {
    my ($h, @log) = @_;
    $h->{truth}{$T}{17} = 'w9-1';
    push @$_, { e => 'ev', topic => $T, seq => 17, key => 'w9-1' } for @log;
};
finds 'said not to be done, and done', 'refused', sub { $_[0]{ops}[5]{result} = 'failed' };
finds 'not acknowledged, and done: that is allowed', '', sub { $_[0]{ops}[5]{result} = 'unknown' };
finds 'not acknowledged, and not done: likewise', '', sub {
    my ($h) = @_;
    push @{ $h->{ops} }, { key => 'w2-1', kind => 'chat', topic => $T, begin => 1, end => 2, result => 'unknown' },
        { key => 'w2-2', kind => 'chat', topic => $T, begin => 2, end => 3, result => 'failed' };
};
finds 'not acknowledged, and done twice', 'repeated', sub {
    my ($h, @log) = @_;
    $h->{ops}[5]{result} = 'unknown';
    $h->{truth}{$T}{17} = 'w1-6';
    push @$_, { e => 'ev', topic => $T, seq => 17, key => 'w1-6' } for @log;
};
finds 'begun after another was acknowledged, and before it in the topic', 'realtime', sub {
    my ($h) = @_;
    @{ $h->{ops}[0] }{qw(begin end)} = (2.6, 2.7);
};
finds 'two at the same time may stand in either order', '', sub {
    my ($h) = @_;
    @{ $h->{ops}[0] }{qw(begin end)} = (2.4, 2.7);
};
finds 'numbers that go back', 'number', sub {
    my ($h) = @_;
    @{ $h->{ops} }[ 0, 1 ] = map { { %$_ } } @{ $h->{ops} }[ 0, 1 ];
    ($h->{ops}[0]{number}, $h->{ops}[1]{number}) = (2, 1);
};
finds 'a number twice', 'number', sub { $_[0]{ops}[1]{number} = 1 };
finds 'a number left out', 'number', sub { $_->{number} += 3 for @{ $_[0]{ops} }[ 4, 5 ] };

# ---------------------------------------------------------------- what was seen

finds 'an event left out in the middle', 'missing order', sub { without($_[1], 12) };
finds 'an event left out between two connections', 'missing order', sub { without($_[2], 14) };
finds 'the end of the topic not seen', 'missing short', sub { without($_[1], 16) };
finds 'two events in the wrong order', 'order', sub {
    my ($h, $log) = @_;
    @$log[ 3, 4 ] = @$log[ 4, 3 ];
};
finds 'an event that nobody wrote', 'diverged invented', sub { event($_[1], 12)->{key} = 'w7-7' };
finds 'an event at the place of another', 'diverged', sub {
    my ($h, $log) = @_;
    @$log[ 2 .. 3 ] = map { { %$_ } } @$log[ 2 .. 3 ];
    @{ $log->[2] }{qw(key)} = ('w1-2');
    @{ $log->[3] }{qw(key)} = ('w1-1');
};
my $twice = finds 'an event twice: allowed, and counted', '', sub {
    my ($h, $log) = @_;
    splice @$log, 4, 0, { %{ event($log, 12) } };
};
is $twice->{figures}{duplicates}, 1, 'it is counted';
finds 'another event at a place that was seen', 'diverged', sub {
    my ($h, $log) = @_;
    splice @$log, 4, 0, { %{ event($log, 12) }, key => 'w1-1' };
};
finds 'an event beyond the end of the database\'s topic', 'invented vanished', sub {
    push @{ $_[1] }, { e => 'ev', topic => $T, seq => 17, key => 'w1-7' };
};
finds 'a client that saw nothing', 'short', sub { $_[0]{observers}{s1} = [] };
finds 'a client that resumes where it is not', 'client', sub {
    my ($h, $log) = @_;
    (grep { $_->{e} eq 'sub' && ($_->{from} // 0) == 13 } @$log)[0]{from} = 12;
};

# ------------------------------------------------------------------- afresh

# s1 was told to fetch afresh instead of the replay.
sub resync {
    my ($log, @item) = @_;
    my ($at) = grep { $log->[$_]{e} eq 'ev' && $log->[$_]{seq} == 14 } 0 .. $#$log;
    splice @$log, $at, 2, { e => 'resync', topic => $T, seq => 15, reason => 'expired' },
        { e => 'fetch', topic => $T, items => [ map { [ 10 + $_, "w1-$_" ] } @item ] };
    return;
}
my $afresh = finds 'a resync that is obeyed', '', sub { resync($_[1], 1, 2, 3, 5) };
is $afresh->{figures}{resyncs}, 1, 'it is counted';
finds 'a message that is not there when it is fetched afresh', 'missing', sub { resync($_[1], 1, 2, 3) };
finds 'something else that is', 'diverged', sub {
    resync($_[1], 1, 2, 3, 5);
    (grep { $_->{e} eq 'fetch' } @{ $_[1] })[0]{items}[3][1] = 'w1-4';
};
finds 'a resync that goes back', 'order', sub {
    my ($h, $log) = @_;
    splice @$log, 5, 0, { e => 'resync', topic => $T, seq => 12, reason => 'expired' };
    my ($sub) = grep { $_->{e} eq 'sub' && ($_->{from} // 0) == 13 } @$log;
    $sub->{from} = 12;
    my ($at) = grep { $log->[$_]{e} eq 'ev' && $log->[$_]{seq} == 14 } 0 .. $#$log;
    splice @$log, $at, 0, { e => 'ev', topic => $T, seq => 13, key => 'w1-3' };
};

# ---------------------------------------------------------------- another epoch

# After a failover: w1-3 was seen, was never acknowledged, and is gone.
sub failover {
    my ($h, $log) = @_;
    $h->{ops}[2]{result} = 'unknown';
    $h->{truth}{$T} = { 11 => 'w1-1', 12 => 'w1-2', 13 => 'w1-4', 14 => 'w1-5', 15 => 'w1-6' };
    $_->{seq} && $_->{seq} > 13 and $_->{seq}-- for @{ $h->{ops} };
    $_->{number} && $_->{number} > 3 and $_->{number}-- for @{ $h->{ops} };
    delete $h->{observers}{s2};
    @$log = (@$log[ 0 .. 5 ], { e => 'hello', epoch => 'b' }, { e => 'sub', topic => $T, seq => 14 },
        { e => 'resync', topic => $T, seq => 14, reason => 'epoch' },
        { e => 'fetch', topic => $T, items => [ [ 11, 'w1-1' ], [ 12, 'w1-2' ], [ 14, 'w1-5' ] ] },
        { e => 'ev', topic => $T, seq => 15, key => 'w1-6' });
    return;
}
my $over = finds 'another epoch: what was not acknowledged may be gone', '', \&failover;
is $over->{figures}{epochs}, 1, 'it is counted';
finds 'who resumes in another epoch', 'epoch missing order', sub {
    failover(@_);
    my $log = $_[1];
    splice @$log, 7, 3, { e => 'sub', topic => $T, from => 13, seq => 14 };
};
finds 'acknowledged, and gone after a failover', 'lost', sub {
    failover(@_);
    $_[0]{ops}[2]{result} = 'ok';
};

# --------------------------------------------------------------------- netmaps

finds 'a delta that does not fit the map', 'version', sub {
    (grep { $_->{e} eq 'delta' } @{ $_[2] })[0]{known} = 8;
};
finds 'a delta that leads back', 'version', sub {
    my ($delta) = grep { $_->{e} eq 'delta' } @{ $_[2] };
    @$delta{qw(base known version)} = (9, 9, 9);
};
finds 'a map that goes back', 'version', sub {
    push @{ $_[2] }, { e => 'map', topic => $T, seq => 16, version => 13 };
};
finds 'a map that is another than the database\'s', 'map', sub {
    (grep { $_->{e} eq 'final' } @{ $_[2] })[0]{peers} = { p => 'w1-3', q => 'x' };
};

# Of many of a kind the first ones are told, and how many more there are.
my $many = history();
$many->{truth}{$T}{$_} = "w9-$_" for 17 .. 66;
my $told = check($many)->{violations};
cmp_ok scalar(grep { /^invented:/ } @$told), '<=', 21, 'of fifty violations some are told';
ok scalar(grep { /^invented: and 30 more/ } @$told), 'and how many more there are';

done_testing;

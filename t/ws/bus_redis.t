# Redis as the bus: slow, refusing, and shared with strangers.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Pair;
use GoConnect::Redis;
use IO::Socket::UNIX;
use Mojo::JSON qw(encode_json);
use Test::More;

my $redis = GoConnect::Redis->start(password => 'right');

subtest 'Redis is slow' => sub {
    my $pair = GoConnect::Pair->start($redis->bus);
    $pair->bus_is(1, 'the bus is up');
    my $lost = $pair->counter(0, 'goconnect_bus_messages_dropped_total');
    $redis->command('CLIENT', 'PAUSE', 2000, 'ALL');
    $pair->arrive($_, 40, 'all arrives, and only once, when the late bells come') for 0, 1;
    $pair->bus_is(1, 'two seconds are no reason to give it up');
    is $pair->counter(0, 'goconnect_bus_messages_dropped_total'), $lost, '... or anything of it';
    ok $pair->signal, 'what waited has not been lost';

    # a worker that Redis finds too slow
    $redis->command('CONFIG', 'SET', 'client-output-buffer-limit', 'pubsub 4096 0 0');
    $pair->arrive(0, 5, 'Redis may cut who reads too slowly', 'x' x 3900);
    $redis->command('CONFIG', 'SET', 'client-output-buffer-limit', 'pubsub 33554432 8388608 60');
    $pair->bus_is(1, '... and takes it again');
    $pair->stop;
};

subtest 'Redis refuses' => sub {
    $redis->kill;
    my $pair = GoConnect::Pair->start($redis->bus);
    $pair->arrive($_, 2, 'a server starts and works without its Redis') for 0, 1;
    $pair->logged(qr/the bus is down, it could not connect: Connection refused/, 'why it is down');
    $redis->{password} = 'changed';
    $redis->up;
    $pair->logged(qr/the bus is down, Redis refuses: WRONGPASS/, 'the password is wrong');
    unlike $pair->{s}->log, qr/\bright\b|changed/, '... and in no log';
    $pair->arrive(0, 2, 'events arrive');
    $redis->kill;
    delete $redis->{password};
    $redis->up;
    $pair->logged(qr/Redis refuses: .*AUTH/, 'a Redis that knows of no password');
    $redis->kill;
    $redis->{config} = [ 'maxclients 1' ];
    $redis->{password} = 'right';
    $redis->up;
    $pair->logged(qr/the bus is down, .*max number of clients reached/, 'it is full');
    $redis->kill;
    $redis->{config} = [ 'user default on >right resetchannels +@all ~*' ];
    $redis->up;
    $pair->logged(qr/the bus is down, .*(?:NOPERM|permissions)/, 'it forbids the channel');
    $redis->kill;
    $redis->{config} = [];
    $redis->up;
    $pair->bus_is(1, 'all is well at last');
    ok $pair->signal, 'signals cross';
    $pair->stop;
};

# All that a subscriber of the server's channel hears, from the raw socket.
sub overhear {
    my ($channel) = @_;
    my $socket = IO::Socket::UNIX->new($redis->path) or die "Redis: $!";
    print $socket "AUTH right\r\nSUBSCRIBE $channel\r\n";
    $socket->flush;
    my $line = sub { my $text = <$socket> // die 'Redis has gone'; $text =~ s/\r\n\z//r };
    my $bulk = sub {
        my ($len) = $line->() =~ /^\$(\d+)/ or die 'no text';
        read $socket, my $text, $len + 2;
        return substr $text, 0, $len;
    };
    $line->();                               # +OK
    $line->(), $bulk->(), $bulk->(), $line->();    # the subscription
    return sub {
        $line->();
        my @word = map { $bulk->() } 1 .. 3;
        return $word[2];
    };
}

sub publish {
    my ($channel, $text) = @_;
    my $socket = IO::Socket::UNIX->new($redis->path) or die "Redis: $!";
    print $socket "AUTH right\r\n*3\r\n\$7\r\nPUBLISH\r\n\$" . length($channel) . "\r\n$channel\r\n\$"
        . length($text) . "\r\n$text\r\n";
    $socket->flush;
    my $answer = <$socket>;
    $answer = <$socket>;
    return $answer =~ /^:(\d+)/ ? $1 : die "PUBLISH: $answer";
}

subtest 'a stranger has the same Redis' => sub {
    my $pair = GoConnect::Pair->start($redis->bus, allow => qr/the bus carries messages that are not sealed/);
    $pair->bus_is(1, 'the bus is up');
    my ($channel, @other) = $redis->channels;
    is_deeply \@other, [], 'one channel';
    my $next = overhear($channel);
    $pair->arrive(0, 1, 'an event');
    my $sealed = $next->();
    unlike $sealed, qr/line|tenant|chat/, 'a stranger cannot read it';

    my $event = encode_json({ type => 'chat_message', topic => $pair->{topic}, seq => $pair->{seq} + 1,
        data => { content => 'forged' } });
    my $revoke = encode_json({ type => 'revoked', topic => "user:$pair->{ada}{id}", seq => 0,
        data => { scope => 'session' } });
    my $flipped = $sealed;
    substr($flipped, 40, 1) ^= "\x01";
    my $refused = $pair->counter(1, 'goconnect_bus_messages_refused_total');
    my @garbage = ('', '{', 'nonsense', "\0" x 100, $event, "0123456789abcdef $event", $revoke,
        $flipped, substr($sealed, 0, -1), "${sealed}x", "\x01" . 'x' x 60, 'y' x 200_000,
        encode_json({ topic => $pair->{topic}, seq => 1e15 }),
        encode_json({ bus => 'connected', device => 'x' x 36, number => 2**53 }));
    is publish($channel, $_), 3, 'both nodes and this test hear ' . (length $_ > 40 ? 'it' : "\"$_\"") for @garbage;
    $pair->{s}->_await('the refusals', sub {
        $pair->counter(1, 'goconnect_bus_messages_refused_total') == $refused + @garbage });
    pass 'all of it is refused';
    is publish($channel, $sealed), 3, 'a true message once more';
    $pair->arrive($_, 1, 'nobody believes any of it') for 0, 1;
    ok !grep({ grep { $_->{type} eq 'chat_message' } $_->frames } @{ $pair->{ws} }), '... nothing came twice';
    $pair->node($_)->_await('the warning', sub { $pair->node($_)->log =~ /are not sealed/ }) for 0, 1;

    publish($channel, 'z' x (4 << 20));
    $pair->logged(qr/the bus is down, it misbehaves: a reply is too long/, 'four megabytes are too long');
    $pair->bus_is(1, '... which is mended');
    ok $pair->signal, 'signals cross';

    # a server of another database
    my $stranger = GoConnect::Server->start(http => 'goconnect_bus ' . $redis->bus . ';');
    $pair->{s}->_await('two channels', sub { my @all = $redis->channels; @all == 2 });
    pass 'another server has another channel';
    $stranger->register('eve');
    $stranger->stop;
    $pair->stop;
};

$redis->stop;
done_testing;

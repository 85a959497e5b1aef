# Two nodes on one database are one server to who looks from outside: events,
# tickets, idempotency; and the means by which tests break nodes.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Nodes;
use Test::More;

my $nodes = GoConnect::Nodes->start(workers => 2);
my ($a, $b) = $nodes->all;
my $ada = $a->register('ada');
my $t = $b->must(201, POST => '/v1/tenants', { name => 'Hall' }, token => $ada->{token});
my $topic = { topic => "tenant:$t->{id}", seq => undef };

sub say_it {
    my ($node, $text) = @_;
    return $node->must(201, POST => "/v1/tenants/$t->{id}/messages", { content => $text },
        token => $ada->{token});
}

sub hears {
    my ($ws, $text) = @_;
    return $ws->expect(sub { $_[0]{type} eq 'chat_message' && $_[0]{data}{content} eq $text },
        timeout => 30);
}

my %ws = map { $_ => $nodes->node($_)->ws(token => $ada->{token}) } 0, 1;
for my $ws (values %ws) {
    $ws->expect('hello');
    is $ws->ask(subscribe => { topics => [$topic] })->{type}, 'ok', 'a subscriber';
}
for my $from (0, 1) {
    say_it($nodes->node($from), "from $from");
    my @seq = map { hears($ws{$_}, "from $from")->{seq} } 0, 1;
    is $seq[0], $seq[1], "what node $from is told both tell, by one number";
}

$nodes->cut(1);
is $ws{1}->closed, 1006, 'a cut connection ends without a word';
ok $ws{0}->is_open, 'the other node has kept its own';

$nodes->kill(1);
say_it($a, 'while one is away');
hears($ws{0}, 'while one is away');
$nodes->up(1);
my $back = $b->ws(token => $ada->{token});
$back->expect('hello');
$back->ask(subscribe => { topics => [ { %$topic, seq => 0 } ] });
hears($back, 'while one is away');
pass 'a node that was killed serves again, and what was said meanwhile';

my $third = $nodes->add(workers => 1);
say_it($third, 'from the third');
hears($_, 'from the third') for $ws{0}, $back;
is $nodes->count, 3, 'a node may be added';
cmp_ok $nodes->counter(2, 'goconnect_database_calls_total'), '>', 0, 'its counters can be read';

$nodes->halt(1);
is $back->closed, 1012, 'a node that is ended sends its sockets away';
$nodes->up(1);

$_->close for $ws{0}, $back;
$nodes->stop;
done_testing;

# The control socket: what each command of docs/agent.md says to a request that is wrong.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use AgentTest;
use IO::Socket::UNIX;
use JSON::PP;
use Test::More;

my $LIMIT = 120; # of every wait; only against hanging
my $BYTES = 64 * 1024; # of the longest request

my ($lab, $plane, $a) = lab_with_agent(login => 1);
my $lan = $plane->network('Lan');
my $peer = $plane->add_peer($lan, { public_key => key(1) });
$a->must('join', $lan->{link});

sub dialled {
    return IO::Socket::UNIX->new(Peer => '/proc/' . $a->host->pid . '/root/run/goconnect/goconnectd.sock')
        // die "control socket: $!";
}

# The lines that come for what was said; fewer than asked for if it was hung up.
sub said {
    my ($socket, $text, $lines) = @_;
    local $SIG{PIPE} = 'IGNORE';
    local $SIG{ALRM} = sub { die 'no answer' };
    alarm $LIMIT;
    syswrite $socket, $text;
    my @got;
    while (@got < $lines && defined(my $line = <$socket>)) {
        push @got, decode_json($line);
    }
    alarm 0;
    return @got;
}

my $json = JSON::PP->new->canonical->utf8->allow_nonref;
sub ask { (said(dialled(), $json->encode($_[0]) . "\n", 1))[0] }

# What must be as it was, whatever is refused.
sub state_of { [ $a->dump, map { @$_{qw(id state)} } @{ $a->json('status')->{networks} } ] }

sub is_refused {
    my ($request, $codes, $name) = @_;
    my $answer = ask($request);
    return ok !$answer->{ok} && $answer->{code} =~ /\A(?:$codes)\z/ && length $answer->{detail}, $name
        || diag $json->encode($answer);
}

my %here = (network_id => $lan->{id});
my %nowhere = (network_id => '00000000-0000-4000-8000-000000000000');
my $uuid = '11111111-1111-4111-8111-111111111111';

# of each command: a request that could be right, and which of its fields must be
my %request = (
    status => {}, doctor => {}, names => {}, local => {}, reload => {},
    peers => {%here},
    ping => { %here, peer_id => $uuid },
    netcheck => { server => '127.0.0.1:1' },
    identity => { server => $plane->url },
    enroll => { server => $plane->url, access_token => 'a', refresh_token => 'r', expires_in => 900,
        device => { id => $uuid, name => 'd' }, user => { id => $uuid, username => 'ada' }, networks => [] },
    join => { %here, name => 'Lan' },
    leave => {%here}, up => {%here}, down => {%here}, routes => {%here}, rotate => {%here},
    route => { %here, action => 'offer', prefix => '10.9.0.0/24', masquerade => JSON::PP::true },
    set => { %here, settings => { mtu => 1400 } },
    exit => { %here, action => 'use', peer_id => $uuid },
    gateway => { %here, on => JSON::PP::true, endpoint => '192.0.2.1:51820' },
    forget => { delete => JSON::PP::false },
);

my @wrong = (5, -1, 1e300, undef, JSON::PP::false, [], {}, [ [] ], { mtu => [] }, '', ' ', '../..', "a\0b",
    "\x{202e}", 'x' x 50_000);

sub same_kind {
    my ($one, $other) = map { JSON::PP::is_bool($_) ? 'bool' : ref $_ || (defined && /\A-?[\d.e+]+\z/i ? 'number' : 'text') } @_;
    return $one eq $other;
}

subtest 'the page has all that there are' => sub {
    open my $page, '<', "$FindBin::Bin/../../docs/agent.md" or die $!;
    my ($table) = join('', <$page>) =~ /^## The control socket$(.*?)(?=^## |\z)/ms;
    my %told = map { $_ => 1 } map { /`(\w+)`/g } map { /^\| (`[^|]+?) \|/ } split /\n/, $table;
    delete $told{command};
    is_deeply [ sort keys %told ], [ sort keys %request ], 'each command is tried here';
    for my $command (sort keys %request) {
        next if $command eq 'forget';
        my $answer = ask({ command => $command });
        unlike $answer->{detail} // '', qr/no command/, "$command is one";
        ok $answer->{ok} || length $answer->{code} && length $answer->{detail}, '... and answers';
    }
};

my $before = state_of();

subtest 'no command' => sub {
    is_refused({ command => $_ }, 'bad_request', 'no command ' . substr($json->encode($_), 0, 20))
        for 'statu', 'STATUS', @wrong;
    is_refused({}, 'bad_request', 'none at all');
};

for my $command (sort keys %request) {
    my $right = $request{$command};
    next if !%$right;
    subtest "$command, with what is wrong" => sub {
        for my $field (sort keys %$right) {
            for my $wrong (@wrong) {
                next if same_kind($wrong, $right->{$field});
                is_refused({ %$right, command => $command, $field => $wrong }, '[a-z_]+',
                    "$field: " . substr($json->encode($wrong), 0, 20));
            }
        }
        is_refused({ %$right, command => $command, %nowhere }, 'unknown_network', 'a network that is none')
            if $right->{network_id} && $command ne 'join';
    };
}

is_deeply state_of(), $before, 'nothing has changed by all this';

subtest 'lines that are no request' => sub {
    for my $text ('', '{', 'null', '5', '"status"', '[]', '[{"command":"status"}]', "{\"command\":\"\xff\"}",
        '{"command":"status","command":"status"}', '{"a":' x 5_000, '[' x 60_000, "\0") {
        my ($answer) = said(dialled(), "$text\n", 1);
        is $answer->{code}, 'bad_request', 'refused: ' . substr($text, 0, 20) =~ s/[^ -~]/?/gr;
    }
    my $socket = dialled();
    is_deeply [ map { $_->{ok} ? 1 : 0 } said($socket, qq(5\n{"command":"status"}\n{}\n{"command":"status"}\n), 4) ],
        [ 0, 1, 0, 1 ], 'and the connection goes on';
    my ($answer, @more) = said(dialled(), 'x' x ($BYTES + 1), 2);
    is $answer->{code}, 'bad_request', 'a line that is too long is refused';
    is scalar(@more), 0, '... and hung up';
};

subtest 'who does not finish' => sub {
    my @half = map { dialled() } 1 .. 8;
    syswrite $_, '{"command":' for @half;
    ok ask({ command => 'status' })->{ok}, 'keeps nobody else waiting';
    close $_ for @half[0 .. 3];
    ok +(said($half[4], qq("status"}\n), 1))[0]{ok}, 'and may finish later';
    my $gone = dialled();
    syswrite $gone, qq({"command":"doctor"}\n) x 20;
    close $gone;
    ok ask({ command => 'status' })->{ok}, 'who asks and goes away harms nobody';
};

is_deeply state_of(), $before, 'nothing has changed by all this';

# It waits for the server, which does not answer.
$plane->freeze;
my $waiting = dialled();
syswrite $waiting, qq({"command":"doctor"}\n);
is ask({ command => 'doctor' })->{code}, 'busy', 'one doctor at a time';
is $a->stop, 0, 'goconnectd ends with 0';
is +(said($waiting, '', 1))[0]{code}, 'stopping', 'who still waits is told so';
$plane->thaw;
unlike $a->log, qr/Sanitizer/, 'no sanitizer has complained';

done_testing;

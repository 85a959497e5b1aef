package GoConnect::Load;

# Load from a process of its own, so that a test can break things meanwhile:
#
#   my $load = GoConnect::Load->start($s, clients => 8, request => sub {
#       my ($n) = @_;               # counts from 1
#       return (POST => '/v1/...', { content => "line $n" }, token => ...);
#   });
#   ...
#   my $result = $load->stop;
#   # { status => { 200 => 1234, 503 => 5, 0 => 1 }, code => { busy => 5 },
#   #   acked => [n, ...] (2xx), slowest => seconds }
#
# Status 0 is a connection that was refused or broken.

use strict;
use warnings;
use Carp qw(croak);
use Mojo::IOLoop;
use Mojo::JSON qw(decode_json encode_json);
use Mojo::UserAgent;
use POSIX ();
use Time::HiRes qw(time);

sub start {
    my ($class, $server, %opt) = @_;
    pipe my $from, my $to or croak "pipe: $!";
    pipe my $order, my $give or croak "pipe: $!";
    my $pid = fork // croak "fork: $!";
    if (!$pid) {
        close $from;
        close $give;
        my $result = eval { _run($server->url, $order, %opt) } // { died => "$@" };
        print {$to} encode_json($result);
        close $to;
        POSIX::_exit(0);
    }
    close $to;
    close $order;
    return bless { pid => $pid, from => $from, give => $give }, $class;
}

sub _run {
    my ($url, $order, %opt) = @_;
    Mojo::IOLoop->reset;
    my %result = (status => {}, code => {}, acked => [], slowest => 0);
    my ($n, $running, $stop) = (0, 0, 0);
    Mojo::IOLoop->singleton->reactor->io($order => sub {
        $stop = 1;
        Mojo::IOLoop->singleton->reactor->remove($order);
        Mojo::IOLoop->stop if !$running;
    })->watch($order, 1, 0);
    for (1 .. $opt{clients} // 8) {
        my $ua = Mojo::UserAgent->new(connect_timeout => 10, request_timeout => 30,
            inactivity_timeout => 30);
        my $next;
        $next = sub {
            if ($stop) {
                Mojo::IOLoop->stop if --$running == 0;
                return;
            }
            my $id = ++$n;
            my ($method, $path, $body, %more) = $opt{request}->($id);
            my $begun = time;
            $ua->start($ua->build_tx($method => $url . $path,
                { Authorization => "Bearer $more{token}" }, $body ? (json => $body) : ()) => sub {
                my ($agent, $tx) = @_;
                my $status = $tx->res->code // 0;
                my $took = time - $begun;
                $result{slowest} = $took if $took > $result{slowest};
                $result{status}{$status}++;
                push @{ $result{acked} }, $id if $status =~ /^2/;
                if ($status !~ /^2/) {
                    my $json = eval { $tx->res->json } // {};
                    $result{code}{ $json->{code} // 'none' }++;
                }
                # a server that is gone is not asked a thousand times a second
                return Mojo::IOLoop->timer(0.05 => $next) if $status !~ /^2/;
                Mojo::IOLoop->next_tick($next);
            });
        };
        $running++;
        $next->();
    }
    Mojo::IOLoop->start;
    return \%result;
}

sub stop {
    my ($self) = @_;
    # a byte, not the end of the pipe: a later load has inherited this end
    syswrite $self->{give}, 'x';
    my $text = do { local $/; readline $self->{from} } // '';
    waitpid $self->{pid}, 0;
    my $result = eval { decode_json($text) } or croak "the load died: $text";
    croak "the load died: $result->{died}" if defined $result->{died};
    return $result;
}

1;

package GoConnect::Bench;

# What the parts of `make bench` share: medians, memory, tokens, and the load
# client as a process that takes a line and gives one.

use strict;
use warnings;
use Carp qw(croak);
use Digest::SHA qw(hmac_sha256);
use Exporter qw(import);
use GoConnect::Cluster;
use IPC::Open2 qw(open2);
use MIME::Base64 qw(decode_base64 encode_base64url);
use Mojo::JSON qw(encode_json);

our @EXPORT_OK = qw(note median option thousands machine memory peak forget_peak cpu token_maker load_start load_ask load_end);

sub note { print STDERR "bench: @_\n"; return }

sub median {
    my @sorted = sort { $a <=> $b } @_;
    return $sorted[ int(@sorted / 2) ];
}

# The defaults, but for what the environment sets.
sub option {
    my (%default) = @_;
    return map { $_ => $ENV{$_} // $default{$_} } keys %default;
}

sub thousands {
    my ($number) = @_;
    return scalar reverse(reverse(sprintf '%.0f', $number) =~ s/(\d{3})(?=\d)/$1,/gr);
}

# "2 shared cores, 24 GiB, nginx 1.22.1, PostgreSQL 15.20"
sub machine {
    my ($s) = @_;
    chomp(my $cores = `nproc`);
    open my $fh, '<', '/proc/meminfo' or croak $!;
    my ($gib) = map { /^MemTotal:\s+(\d+)/ ? $1 / 1048576 : () } <$fh>;
    my ($version) = $s->sql('SHOW server_version') =~ /^([\d.]+)/;
    my ($nginx) = `/usr/sbin/nginx -v 2>&1` =~ m{nginx/([\d.]+)};
    return sprintf '%d shared cores, %.0f GiB, nginx %s, PostgreSQL %s', $cores, $gib, $nginx, $version;
}

# Bytes of memory of the processes, by kind (Rss, Private_Dirty, ...).
sub memory {
    my %sum;
    for my $pid (@_) {
        open my $fh, '<', "/proc/$pid/smaps_rollup" or next;
        while (<$fh>) {
            $sum{$1} += $2 * 1024 if /^(\w+):\s+(\d+) kB/;
        }
    }
    return \%sum;
}

# The most bytes that a process has had resident since forget_peak().
sub peak {
    my ($pid) = @_;
    open my $fh, '<', "/proc/$pid/status" or croak $!;
    my ($kb) = map { /^VmHWM:\s+(\d+)/ ? $1 : () } <$fh>;
    return 1024 * $kb;
}

sub forget_peak {
    my ($pid) = @_;
    open my $fh, '>', "/proc/$pid/clear_refs" or croak $!;
    print $fh "5\n";
    close $fh;
    return;
}

# Seconds of processor time that the processes have used; to a nanosecond,
# where the kernel tells.
sub cpu {
    my $sum = 0;
    for my $file (map { glob "/proc/$_/task/*/schedstat" } @_) {
        open my $fh, '<', $file or next;
        $sum += (split ' ', <$fh>)[0] / 1e9;
    }
    return $sum;
}

# A sub that signs an access token as the server does.
sub token_maker {
    my ($s) = @_;
    open my $fh, '<', $s->dir . '/keys' or croak $!;
    my ($id, $key) = map { /^jwt (\S+) (\S+)/ ? ($1, decode_base64($2)) : () } <$fh>;
    my $issuer = $s->{public_url} // $s->url;
    my $head = encode_base64url(encode_json({ alg => 'HS256', typ => 'JWT', kid => $id }));
    return sub {
        my ($user, $session, $device) = @_;
        my $text = "$head." . encode_base64url(encode_json({ iss => $issuer, aud => 'goconnect',
            sub => $user, sid => $session, iat => time, exp => time + 7200, $device ? (dev => $device) : () }));
        return "$text." . encode_base64url(hmac_sha256($text, $key));
    };
}

# --------------------------------------------------------------- the load client

sub load_start {
    my (@arguments) = @_;
    my $pid = open2(my $out, my $in, "$GoConnect::Cluster::BUILD/bench/load", @arguments);
    return { pid => $pid, in => $in, out => $out, what => "@arguments[0, 1]" };
}

# Says a line (none: undef) and returns the words of the next one that it says.
sub load_ask {
    my ($load, $line) = @_;
    print { $load->{in} } "$line\n" if defined $line;
    $load->{in}->flush;
    my $answer = readline $load->{out};
    croak "the load client ($load->{what}) has ended" if !defined $answer;
    chomp $answer;
    return split ' ', $answer;
}

sub load_end {
    my ($load) = @_;
    close $load->{in};
    waitpid $load->{pid}, 0;
    return;
}

1;

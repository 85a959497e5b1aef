package GoConnect::Coverage;

# What the http suite was answered, against what html/openapi.yaml promises.
#
# Each server of the suite leaves what its access log says in the folder that
# t/run names in GOCONNECT_SEEN: lines "METHOD ROUTE STATUS", each once. When
# the files have ended, t/run compares: an answer that is not documented for
# its operation, and a documented one that nobody was given.

use strict;
use warnings;
use Carp qw(croak);
use GoConnect::Contract;
use Mojo::JSON qw(decode_json);

my $noted = 0;

# Called by a server that has ended, with its access log and the statuses that
# its test had provoked on purpose, though no operation promises them.
sub note {
    my ($log, %provoked) = @_;
    my $folder = $ENV{GOCONNECT_SEEN} // return;
    return if ${^GLOBAL_PHASE} eq 'DESTRUCT';    # the test has died
    return if $0 !~ m{(?:^|/)t/http/[^/]+\.t\z};
    open my $in, '<', $log or return;
    my %seen;
    while (my $line = <$in>) {
        # the last line of a server that was killed may be cut off
        my $said = eval { decode_json($line) } or next;
        next if $provoked{ $said->{status} };
        $seen{"$said->{method} $said->{route} $said->{status}"} = 1;
    }
    my $name = "$folder/$$." . $noted++;
    open my $out, '>', $name or croak "$name: $!";
    print $out map { "$_\n" } sort keys %seen;
    close $out or croak "$name: $!";
    return;
}

# ([undocumented], [missing]), both as "OPERATION STATUS".
sub compare {
    my ($folder) = @_;
    my %seen;
    for my $file (glob "$folder/*") {
        open my $in, '<', $file or croak "$file: $!";
        while (my $line = <$in>) {
            my ($method, $route, $status) = split ' ', $line;
            my $operation = GoConnect::Contract::operation($method, $route) or next;
            $seen{"$operation->{operationId} $status"} = 1;
        }
    }
    my %documented;
    for my $operation (GoConnect::Contract::operations()) {
        $documented{"$operation->{operationId} $_"} = 1 for keys %{ $operation->{responses} };
    }
    # 499: the client went away and was told nothing
    my @undocumented = grep { !$documented{$_} && !GoConnect::Contract::general((split)[1]) && !/ 499\z/ }
        keys %seen;
    return ([ sort @undocumented ], [ sort grep { !$seen{$_} } keys %documented ]);
}

1;

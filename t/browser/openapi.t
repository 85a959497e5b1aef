# The contract, by an independent linter: redocly, from npm.

use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib", "$Bin/../lib";
use GoConnect::Browser;
use Test::More;

GoConnect::Browser::install();
local $ENV{REDOCLY_TELEMETRY} = 'off';
local $ENV{REDOCLY_SUPPRESS_UPDATE_NOTICE} = 'true';
my @lint = (GoConnect::Browser::node(), GoConnect::Browser::tool('@redocly/cli/bin/cli.js'), 'lint',
    '--config', "$Bin/redocly.yaml", '--format', 'stylish');

sub lint {
    my ($file) = @_;
    open my $out, '-|', qq{@{[ map { "'$_'" } @lint, $file ]} 2>&1} or die $!;
    my $said = do { local $/; <$out> };
    close $out;
    return ($? >> 8, $said);
}

my ($status, $said) = lint("$Bin/../../html/openapi.yaml");
is $status, 0, 'html/openapi.yaml is clean' or diag $said;
unlike $said, qr/^\s*\d+:\d+\s+warning/m, '... without a warning';

# the linter is awake: it finds what is wrong
my $broken = "$Bin/../../build/openapi-broken-$$.yaml";
open my $in, '<', "$Bin/../../html/openapi.yaml" or die $!;
open my $to, '>', $broken or die "$broken: $!";
while (<$in>) {
    s/expires_in: 900/expires_in: soon/;
    print {$to} $_;
}
close $to or die $!;
($status, $said) = lint($broken);
unlink $broken;
isnt $status, 0, 'an example that breaks its schema is found';
like $said, qr/no-invalid-schema-examples/, '... as such';

done_testing;

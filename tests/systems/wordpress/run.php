<?php
// Runs the statements on standard input inside the WordPress of the folder it is run in.
require __DIR__ . '/visitor.php';
require getcwd() . '/wp-load.php';
eval(stream_get_contents(STDIN));

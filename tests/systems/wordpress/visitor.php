<?php
// WordPress expects a web request. A script that loads it from the command line says which one it stands for.
$_SERVER += [
    'HTTP_HOST' => parse_url(getenv('SITE_ADDRESS'), PHP_URL_HOST),
    'HTTP_USER_AGENT' => 'command line',
    'REMOTE_ADDR' => '127.0.0.1',
    'REQUEST_METHOD' => 'GET',
    'REQUEST_URI' => '/',
    'SERVER_NAME' => 'localhost',
    'SERVER_PROTOCOL' => 'HTTP/1.1',
];

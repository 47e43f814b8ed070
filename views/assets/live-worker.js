const serve = openLiveStream('../events');
addEventListener('connect', ({ ports: [port] }) => serve(port));

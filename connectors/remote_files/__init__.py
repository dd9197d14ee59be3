"""Application files that lie elsewhere: in a bucket of S3, on a WebDAV share, behind SFTP. A folder a dossier, its facts in a sidecar."""

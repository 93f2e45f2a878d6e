"""The whole move, from the first look at the file to the signed report, played with the dashboard and its users."""

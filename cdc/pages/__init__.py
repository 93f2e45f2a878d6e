"""Pages that need nothing else, no script that runs, no font, no address: one look for all of them, in Jinja2.

Values come in, and every text among them is escaped; what a page says is known by the room that has its template.
"""

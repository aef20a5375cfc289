"""Different learning styles: one teacher and two students, each link of which carries predictions or features."""
